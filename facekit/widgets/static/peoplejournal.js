// What was done last, with undo; and the list of what was done before.
import { el, frame, languageOf, problemLine, say, translator, watch } from "./shared.js";

/** @import { Entry, PeopleJournal, Values, View } from "./types" */

/** @param {View<PeopleJournal>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "peoplejournal");
  const tell = translator(model, signal);
  /** @param {number | undefined} number */
  const undo = (number) => model.send({ kind: "undo", number });

  const line = el("p", { class: "fk-last", role: "status" });
  const back = el("button", { type: "button", onclick: () => undo(model.get("last").number) });
  const list = el("ol", { class: "fk-entries" });
  const empty = tell(el("p", { class: "fk-muted" }), "peoplejournal.empty");
  const summary = tell(el("summary", { "data-lm-suppress-shortcuts": "true" }), "peoplejournal.title");
  const details = el("details", { ontoggle: () => {
    if (model.get("opened") === details.open) return;
    model.set("opened", details.open);
    model.save_changes();
  } }, summary, empty, list);
  const last = el("div", { class: "fk-row" }, line, back);
  root.append(last, problemLine(model, signal), details);

  /**
   * The text of what was done: with a number of people or faces, or of two by name.
   * @param {string} key
   * @param {Values} values
   */
  function words(key, values) {
    const named = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value ?? say(model, "peoplejournal.unnamed")]));
    /** @type {[fits: unknown, form: string][]} */
    const forms = [
      [key === "peoplejournal.did.hide" && !values.hidden, "shown"],
      [key === "peoplejournal.did.name" && !values.name, "taken_off"],
      [key === "peoplejournal.did.split" && values.name, "named"],
      [key === "peoplejournal.did.merge" && values.count, "many"],
    ];
    const form = forms.find(([fits]) => fits)?.[1];
    return say(model, form ? `${key}.${form}` : key, named);
  }

  watch(model, ["last", "language"], () => {
    const done = model.get("last");
    line.textContent = done.key ? words(done.key, done.values) : "";
    last.hidden = !done.key;
    back.hidden = !done.number;
    tell(back, done.key === "peoplejournal.did.undo" ? "peoplejournal.redo" : "peoplejournal.undo");
  }, signal);

  /** @param {Entry} entry */
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
    const focused = list.contains(document.activeElement) && document.activeElement?.getAttribute("data-number");
    list.replaceChildren(...entries.map(row));
    empty.hidden = Boolean(entries.length) || !model.get("loaded");
    if (!focused) return;
    /** @type {HTMLElement | null} */
    const again = list.querySelector(`[data-number="${focused}"]`);
    (again ?? summary).focus();
  }, signal);
}

export default { render };
