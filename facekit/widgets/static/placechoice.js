// Which photos a gallery shows: those from a source, in a folder or an album.
import { placeFields } from "./places.js";
import { el, frame, problemLine } from "./shared.js";

/** @import { PlaceChoice, View } from "./types" */

/** @param {View<PlaceChoice>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "placechoice");
  const fields = placeFields(model, signal, (chosen) => {
    if (chosen.source !== undefined) model.set("source", chosen.source);
    if (chosen.folder !== undefined) model.set("folder", chosen.folder);
    model.save_changes();
  });
  root.append(el("div", { class: "fk-fields" }, ...fields), problemLine(model, signal));
}

export default { render };
