// Where photos lie, as two fields of a form: a source, and a folder or an album of it.
import { el, languageOf, say, watch } from "./shared.js";

/** @import { Model, Places, Signal } from "./types" */
/** @typedef {Places["folders"][number]} Place */

/**
 * The two fields, each unseen where there is nothing to choose; `choose` is given what was chosen.
 * @param {Model<Places>} model
 * @param {Signal} signal
 * @param {(chosen: { source?: string, folder?: string }) => void} choose
 */
export function placeFields(model, signal, choose) {
  /** @param {(value: string) => void} chosen */
  const select = (chosen) =>
    el("select", { onchange: (/** @type {{ target: HTMLSelectElement }} */ { target }) => chosen(target.value) });
  const source = select((value) => { // a folder of another source would leave nothing
    const kept = model.get("folders").some((one) => one.folder === model.get("folder") && one.source === value);
    choose(value && !kept ? { source: value, folder: "" } : { source: value });
  });
  const folder = select((value) => choose({ folder: value }));
  const words = [el("span"), el("span")];
  const fields = [source, folder].map((control, index) => el("label", { class: "fk-field" }, words[index], control));

  /** @param {Place} place */
  const called = (place) => place.words || (place.source === "local" ? say(model, "common.place.here") : place.source);
  /** @param {Place} place */
  const option = (place) => el("option", { value: place.folder },
    `${place.name.replace(/\/$/, "")} (${place.photos.toLocaleString(languageOf(model))})`);

  watch(model, ["folders", "source", "folder", "language"], () => {
    const all = model.get("folders");
    const asked = model.get("source");
    /** @type {Map<string, Place[]>} */
    const sources = new Map();
    for (const one of all) sources.set(one.source, [...(sources.get(one.source) ?? []), one]);
    const groups = [...sources.values()];
    words[0].textContent = say(model, "common.place.source");
    source.replaceChildren(el("option", { value: "" }, say(model, "common.place.all_sources")),
      ...groups.map(([first]) => el("option", { value: first.source }, called(first))));
    source.value = asked;
    fields[0].hidden = groups.length < 2;

    const shown = groups.filter(([first]) => !asked || first.source === asked)
      .map((group) => group.filter((one) => one.name)).filter((group) => group.length);
    const albums = shown.filter(([first]) => first.words).length;
    const kind = !albums ? "folder" : albums < shown.length ? "folder_or_album" : "album";
    words[1].textContent = say(model, `common.place.${kind}`);
    folder.replaceChildren(el("option", { value: "" }, say(model, `common.place.all.${kind}`)),
      ...(shown.length > 1 ? shown.map((group) => el("optgroup", { label: called(group[0]) }, ...group.map(option)))
        : shown.flatMap((group) => group.map(option))));
    folder.value = model.get("folder");
    fields[1].hidden = !shown.length;
  }, signal);
  return fields;
}
