// What was done last, with undo; and the list of what was done before.
import { el, frame, languageOf, problemLine, say, translator, watch } from "./shared.js";

function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "peoplejournal");
  const tell = translator(model, signal);
  const undo = (number) => model.send({ kind: "undo", number });

  const line = el("p", { class: "fk-last", role: "status" });
  const back = el("button", { type: "button", onclick: () => undo(model.get("last").number) });
  const list = el("ol", { class: "fk-entries" });
  const empty = tell(el("p", { class: "fk-muted" }), "peoplejournal.empty");
  const details = el("details", { ontoggle: () => {
    if (model.get("opened") === details.open) return;
    model.set("opened", details.open);
    model.save_changes();
  } }, tell(el("summary", { "data-lm-suppress-shortcuts": "true" }), "peoplejournal.title"), empty, list);
  root.append(el("div", { class: "fk-row" }, line, back), problemLine(model, signal), details);

  /** The text of what was done: with a number of people or faces, or of two by name. */
  function words({ key, values }) {
    const named = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value ?? say(model, "peoplejournal.unnamed")]));
    const form = [
      [key === "peoplejournal.did.hide" && !values.hidden, "shown"],
      [key === "peoplejournal.did.name" && !values.name, "taken_off"],
      [key === "peoplejournal.did.split" && values.name, "named"],
      [key === "peoplejournal.did.merge" && values.count, "many"],
    ].find(([fits]) => fits)?.[1];
    return say(model, form ? `${key}.${form}` : key, named);
  }

  watch(model, ["last", "language"], () => {
    const last = model.get("last");
    line.textContent = last.key ? words(last) : "";
    line.parentElement.hidden = !last.key;
    back.hidden = !last.number;
    tell(back, last.key === "peoplejournal.did.undo" ? "peoplejournal.redo" : "peoplejournal.undo");
  }, signal);

  function row(entry) {
    const language = languageOf(model);
    const at = new Date(entry.at).toLocaleString(language, { dateStyle: "short", timeStyle: "short" });
    const said = el("span", { lang: "en" }, entry.words); // what Python says is in English
    const button = el("button", { type: "button", "data-number": entry.number, onclick: () => undo(entry.number) },
      say(model, "peoplejournal.undo"));
    button.setAttribute("aria-label", `${button.textContent}: ${entry.words}`);
    return el("li", { class: entry.undone ? "fk-undone" : null },
      el("span", { class: "fk-what" },
        language === "en" ? null : el("b", {}, say(model, `peoplejournal.verb.${entry.verb}`), " "), said,
        el("span", { class: "fk-muted" }, ` ${[at, entry.user].filter(Boolean).join(" · ")}`)),
      entry.undone ? el("span", { class: "fk-muted" }, say(model, "peoplejournal.undone")) : button);
  }

  watch(model, ["entries", "loaded", "opened", "language"], () => {
    details.open = model.get("opened");
    const entries = model.get("entries");
    const focused = list.contains(document.activeElement) && document.activeElement.dataset.number;
    list.replaceChildren(...entries.map(row));
    empty.hidden = Boolean(entries.length) || !model.get("loaded");
    if (focused) (list.querySelector(`[data-number="${focused}"]`) ?? details.querySelector("summary")).focus();
  }, signal);
}

export default { render };
