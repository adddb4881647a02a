// The form of a search: how alike, where, when, how many; and the hits as a file.
import { placeFields } from "./places.js";
import { el, frame, languageOf, problemLine, say, translator, watch } from "./shared.js";

/** @import { Child, Said, SearchForm, View } from "./types" */
/** @typedef {{ target: HTMLInputElement | HTMLSelectElement }} Changed */

const WAIT = 400; // ms after the last change before it is searched again
// How far from the model's own threshold each word begins; they only describe, nothing is computed from them.
/** @type {[end: number, word: string][]} */
const WORDS = [[-0.12, "very_loose"], [-0.04, "loose"], [0.04, "balanced"], [0.12, "strict"], [Infinity, "very_strict"]];
const MOST = [50, 200, 1000];
const CHOSEN = /** @type {const} */ (["similarity", "source", "folder", "after", "before", "include_poor", "top_k"]);
const KEYS = { "data-lm-suppress-shortcuts": "true" };

/** @param {View<SearchForm>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "searchform");
  const tell = translator(model, signal);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asked = false; // by the button, not by a change of what is chosen
  signal?.addEventListener("abort", () => clearTimeout(timer));

  const search = () => {
    clearTimeout(timer);
    model.send({ kind: "search", values: Object.fromEntries(CHOSEN.map((name) => [name, model.get(name)])) });
  };
  const searchAgain = () => {
    clearTimeout(timer);
    if (model.get("found") < 0) return;
    timer = setTimeout(() => (model.get("busy") ? searchAgain() : allowed() && search()), WAIT);
  };
  /**
   * @template {typeof CHOSEN[number]} K
   * @param {K} name
   * @param {SearchForm[K]} value
   */
  const choose = (name, value) => {
    model.set(name, value);
    model.save_changes();
    searchAgain();
  };
  /** @type {(key: string, control: HTMLElement, ...more: Child[]) => HTMLElement} */
  const field = (key, control, ...more) =>
    el("label", { class: "fk-field" }, tell(el("span"), `searchform.${key}`), control, ...more);

  // how alike
  const slider = el("input", {
    type: "range", min: 0, max: 1, step: 0.01, ...KEYS,
    oninput: () => choose("similarity", slider.valueAsNumber),
  });
  const number = el("output", { class: "fk-number" });
  const reset = tell(el("button", {
    type: "button", ...KEYS, onclick: () => choose("similarity", model.get("default_similarity")),
  }), "searchform.reset");
  const threshold = el("div", { class: "fk-threshold" },
    field("similarity", slider, el("span", { class: "fk-ends fk-muted", "aria-hidden": "true" },
      tell(el("span"), "searchform.loose"), tell(el("span"), "searchform.strict"))), number, reset);
  const drawThreshold = () => {
    const value = model.get("similarity");
    const [, word] = WORDS.find(([end]) => value - model.get("default_similarity") <= end) ?? WORDS[WORDS.length - 1];
    const shown = value.toLocaleString(languageOf(model), { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    slider.value = String(value);
    number.textContent = `${shown} · ${say(model, `searchform.${word}`)}`;
    slider.setAttribute("aria-valuetext", number.textContent);
    reset.disabled = Math.abs(value - model.get("default_similarity")) < 0.005;
  };

  // where and when
  /** @param {(value: string) => void} chosen */
  const select = (chosen) =>
    el("select", { ...KEYS, onchange: (/** @type {Changed} */ { target }) => chosen(target.value) });
  const most = select((value) => choose("top_k", Number(value)));
  /** @param {"after" | "before"} name */
  const day = (name) =>
    el("input", { type: "date", ...KEYS, onchange: (/** @type {Changed} */ { target }) => choose(name, target.value) });
  const after = day("after");
  const before = day("before");
  const poor = el("input", { type: "checkbox", ...KEYS, onchange: () => choose("include_poor", poor.checked) });
  const where = placeFields(model, signal, (chosen) => {
    if (chosen.folder !== undefined) model.set("folder", chosen.folder);
    if (chosen.source !== undefined) model.set("source", chosen.source);
    model.save_changes();
    searchAgain();
  });
  const drawFilters = () => {
    most.replaceChildren(...[...new Set([...MOST, model.get("top_k")])].sort((a, b) => a - b).map((count) =>
      el("option", { value: count }, say(model, "searchform.most", { count }))));
    most.value = String(model.get("top_k"));
    after.value = model.get("after");
    before.value = model.get("before");
    poor.checked = model.get("include_poor");
  };

  // what comes of it
  const why = el("p", { class: "fk-muted", id: `fk-why-${Math.random().toString(36).slice(2)}` });
  const go = el("button", { type: "submit", class: "fk-primary", "aria-describedby": why.id, ...KEYS });
  const found = el("div", { class: "fk-found", role: "status" });
  const exports = ["csv", "json"].map((format) => tell(el("button", {
    type: "button", ...KEYS, onclick: () => model.send({ kind: "export", format }),
  }), `searchform.${format}`));
  const exporting = tell(el("div", { class: "fk-row", role: "group" }, ...exports), "searchform.export", {}, "aria-label");
  const backwards = () => Boolean(model.get("after") && model.get("before") && model.get("after") > model.get("before"));
  const allowed = () => model.get("ready") && !backwards();
  const drawState = () => {
    const busy = model.get("busy");
    tell(go, busy ? "searchform.searching" : "searchform.search");
    go.disabled = busy || !allowed();
    root.setAttribute("aria-busy", String(busy));
    tell(why, backwards() ? "searchform.backwards" : model.get("ready") ? "" : "searchform.no_probe");
    why.hidden = !why.textContent;
  };
  const drawFound = () => {
    const count = model.get("found");
    /** @type {Said[]} */
    const lines = count < 0 ? (model.get("folders").length ? [] : [{ key: "searchform.empty_library" }]) : count === 0 ? [{ key: "searchform.nobody" }] : [{ key: "searchform.found", values: { count } }];
    if (count === 0 && model.get("similarity") > 0) lines.push({ key: "searchform.try_lower" });
    found.replaceChildren(...[...lines, ...model.get("notes")].map(({ key, values }, index) =>
      el("p", { class: index ? "fk-muted" : "fk-verdict" }, say(model, key, values))));
    exporting.hidden = count <= 0;
  };

  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    if (go.disabled) return;
    asked = true;
    search();
  } },
    threshold,
    el("div", { class: "fk-filters" }, ...where, field("after", after), field("before", before), field("top_k", most)),
    el("label", { class: "fk-check" }, poor, tell(el("span"), "searchform.include_poor")),
    el("div", { class: "fk-row" }, go, why));
  tell(form, "searchform.title", {}, "aria-label");
  const result = el("div", { class: "fk-row fk-result" }, found, exporting);
  root.append(form, problemLine(model, signal), result);
  const drawAnswer = () => { // on a phone it is below what one sees
    if (!asked || model.get("busy") || model.get("found") < 0) return;
    asked = false;
    requestAnimationFrame(() => result.scrollIntoView({ block: "nearest" }));
  };
  watch(model, ["similarity", "default_similarity", "language"], drawThreshold, signal);
  watch(model, ["top_k", "after", "before", "include_poor", "language"], drawFilters, signal);
  watch(model, ["ready", "busy", "after", "before"], drawState, signal);
  watch(model, ["found", "notes", "folders", "language"], drawFound, signal);
  watch(model, ["busy"], drawAnswer, signal);

  /** @type {(content: { kind: string, type: string, name: string }, buffers: DataView<ArrayBuffer>[]) => void} */
  const save = (content, buffers) => {
    if (content?.kind !== "file") return;
    const url = URL.createObjectURL(new Blob(buffers, { type: content.type }));
    el("a", { href: url, download: content.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000); // the browser may still be asking where to put it
  };
  model.on("msg:custom", save);
  signal?.addEventListener("abort", () => model.off("msg:custom", save));
}

export default { render };
