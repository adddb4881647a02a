// People as cards: find by name, open one, make several one, look for people.
import { called, counts, facePicture, focusWhenSeen } from "./people.js";
import { pager } from "./pager.js";
import { el, frame, pictures, problemLine, say, translator, watch } from "./shared.js";

/** @import { PeopleCards, Person, View } from "./types" */

const WAIT = 250; // ms after the last letter

/** @param {View<PeopleCards>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "peoplecards");
  const tell = translator(model, signal);
  const urls = pictures(signal);
  const changes = model.get("can_change");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  signal?.addEventListener("abort", () => clearTimeout(timer));
  /**
   * @template {keyof PeopleCards} K
   * @param {K} name
   * @param {PeopleCards[K]} value
   */
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  /** @type {(key: string, act: () => void, kind?: string) => HTMLButtonElement} */
  const button = (key, act, kind) => tell(el("button", { type: "button", class: kind, onclick: act }), key);

  // what to show
  const text = tell(tell(el("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => set("text", text.value), WAIT);
  } }), "peoplecards.search", {}, "aria-label"), "peoplecards.search", {}, "placeholder");
  const hidden = el("input", { type: "checkbox", onchange: () => set("hidden", hidden.checked) });
  const find = button("peoplecards.find", () => model.send({ kind: "find" }));
  /** @param {number} page */
  const turn = (page) => {
    const pages = Math.ceil(model.get("total") / model.get("page_size"));
    if (page !== model.get("page") && page >= 0 && page < pages) set("page", page);
  };
  const count = el("p", { class: "fk-count", role: "status" });
  const tools = el("div", { class: "fk-row" }, text,
    el("label", { class: "fk-check" }, hidden, tell(el("span"), "peoplecards.hidden")), changes ? find : null, pager(model, turn, signal));

  // while people are looked for
  const bar = tell(el("progress"), "peoplecards.finding", {}, "aria-label");
  const cancel = el("button", { type: "button", onclick: () => model.send({ kind: "cancel" }) });
  const run = el("div", { class: "fk-row fk-run" }, tell(el("span"), "peoplecards.finding"), bar, cancel);
  const news = el("p", { class: "fk-hidden", role: "status" });

  // what is done with those that are selected
  const merge = button("peoplecards.merge", () => model.send({ kind: "merge", ids: model.get("selected") }), "fk-primary");
  const clear = button("peoplecards.clear", () => set("selected", []));
  const chosen = el("span", { class: "fk-verdict" });
  const selection = el("div", { class: "fk-row fk-selection" }, chosen, merge, clear);
  const question = el("div", { class: "fk-row fk-question", role: "group" });
  const conflicts = el("section", { class: "fk-conflicts" });

  const grid = el("ul", { class: "fk-cards" });
  const empty = el("p", { class: "fk-empty fk-muted" });
  root.append(tools, problemLine(model, signal), run, news, el("div", { class: "fk-row fk-under" }, count, selection), question, conflicts, empty, grid);

  /**
   * @param {Person} person
   * @param {DataView<ArrayBuffer> | undefined} view
   */
  function card(person, view) {
    const name = called(model, person);
    const open = el("button", { type: "button", class: "fk-open", onclick: () => model.send({ kind: "open", id: person.id }) },
      facePicture(view, urls), el("span", { class: person.name ? "fk-name" : "fk-name fk-muted" }, name),
      el("span", { class: "fk-muted" }, counts(model, person)));
    const pick = el("input", { type: "checkbox", "aria-label": say(model, "peoplecards.select", { name }), onchange: () => {
      const others = model.get("selected").filter((id) => id !== person.id);
      set("selected", pick.checked ? [...others, person.id] : others);
    } });
    return el("li", { class: "fk-card", "data-id": person.id }, open, changes ? el("label", { class: "fk-pick" }, pick) : null);
  }

  /** @type {(selector: string) => HTMLElement | null} */
  const part = (selector) => grid.querySelector(selector);
  watch(model, ["loaded", "language"], () => {
    const active = grid.contains(document.activeElement) && document.activeElement;
    const place = active && [active.closest(".fk-card")?.getAttribute("data-id"), active.tagName.toLowerCase()];
    const thumbs = model.get("thumbs");
    urls.keep(thumbs);
    grid.replaceChildren(...model.get("people").map((person, index) => card(person, thumbs[index])));
    if (place) (part(`[data-id="${place[0]}"] ${place[1]}`) ?? text).focus();
    grid.hidden = !grid.children.length;
    tell(grid, "peoplecards.title", {}, "aria-label");
    empty.hidden = !model.get("empty");
    tell(empty, model.get("empty"));
    tell(count, model.get("empty") ? "" : model.get("hidden") ? "peoplecards.count_hidden" : "peoplecards.count", { count: model.get("total") });
    find.classList.toggle("fk-primary", model.get("empty") === "peoplecards.nobody");
  }, signal);
  watch(model, ["text", "hidden"], () => {
    if (document.activeElement !== text) text.value = model.get("text");
    hidden.checked = model.get("hidden");
  }, signal);
  watch(model, ["loaded", "selected", "language"], () => {
    const ids = model.get("selected");
    for (const one of grid.children) {
      const chosen = ids.includes(one.getAttribute("data-id") ?? "");
      one.classList.toggle("fk-chosen", chosen);
      const pick = one.querySelector("input");
      if (pick) pick.checked = chosen;
    }
    if (!ids.length && selection.contains(document.activeElement)) text.focus();
    selection.hidden = !ids.length;
    tell(chosen, "peoplecards.selected", { count: ids.length });
    merge.disabled = ids.length < 2;
    merge.title = merge.disabled ? say(model, "peoplecards.merge_two") : "";
  }, signal);
  watch(model, ["question", "language"], () => {
    const people = model.get("question");
    if (!people.length && question.contains(document.activeElement)) text.focus();
    question.hidden = !people.length;
    /** @param {string} id */
    const keep = (id) => model.send({ kind: "keep", id });
    const ask = el("p", { class: "fk-verdict" }, say(model, "peoplecards.which_name"));
    question.setAttribute("aria-label", ask.textContent);
    question.replaceChildren(ask,
      ...people.map((person) => el("button", { type: "button", class: "fk-primary", onclick: () => keep(person.id) }, person.name)),
      el("button", { type: "button", onclick: () => keep("") }, say(model, "peoplecards.cancel")));
    if (people.length) question.querySelector("button")?.focus();
  }, signal);
  watch(model, ["conflicts", "language"], () => {
    const list = model.get("conflicts");
    conflicts.hidden = !list.length;
    conflicts.replaceChildren(el("h2", {}, say(model, "peoplecards.conflicts", { count: list.length })),
      el("ul", {}, ...list.map((one) => {
        const values = { name: called(model, one.person), count: one.count, photo: one.photo };
        return el("li", {}, el("span", {}, say(model, `peoplecards.conflict.${one.kind}`, values)), " ",
          el("button", { type: "button", onclick: () => model.send({ kind: "open", id: one.person.id }) }, say(model, "peoplecards.see", values)),
          one.kind === "same_photo" ? el("button", { type: "button", onclick: () =>
            model.send({ kind: "allow", photo_id: one.photo_id, photo: one.photo }) }, say(model, "peoplecards.allow")) : null);
      })));
  }, signal);
  watch(model, ["running", "stopping"], () => {
    const running = model.get("running");
    if (!running && run.contains(document.activeElement)) find.focus();
    run.hidden = !running;
    find.disabled = running;
    cancel.disabled = model.get("stopping");
    tell(cancel, model.get("stopping") ? "peoplecards.stopping" : "peoplecards.cancel");
    tell(news, running ? "peoplecards.finding" : "");
  }, signal);

  /** @param {{ kind: string, id: string }} content */
  const told = (content) => {
    if (content?.kind !== "focus") return;
    focusWhenSeen(() => part(`[data-id="${content.id}"] button`) ?? text, signal);
  };
  model.on("msg:custom", told);
  signal?.addEventListener("abort", () => model.off("msg:custom", told));
}

export default { render };
