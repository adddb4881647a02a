// One person: name, cover, what is done with the faces that are selected, and who may be the same person.
import { called, counts, facePicture, focusWhenSeen } from "./people.js";
import { decimals, el, frame, pictures, problemLine, say, translator, watch } from "./shared.js";

/** @import { PersonHead, Values, View } from "./types" */

const WAIT = 250; // ms after the last letter

/** @param {View<PersonHead>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "peopleperson");
  const tell = translator(model, signal);
  const urls = pictures(signal);
  const changes = model.get("can_change");
  /** @type {(kind: string, values?: Values) => void} */
  const send = (kind, values = {}) => model.send({ kind, ...values });
  /** @type {(key: string, act: () => void, kind?: string) => HTMLButtonElement} */
  const button = (key, act, kind) => tell(el("button", { type: "button", class: kind, onclick: act }), key);
  let shown = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  signal?.addEventListener("abort", () => clearTimeout(timer));

  // who it is
  const back = button("peopleperson.back", () => send("back"));
  const cover = el("div", { class: "fk-cover" });
  const title = el("h2", { class: "fk-title" });
  const numbers = el("p", { class: "fk-muted" });
  const name = el("input", { type: "text", class: "fk-called", autocomplete: "off", spellcheck: "false", maxlength: "200" });
  const save = tell(el("button", { type: "submit", class: "fk-primary" }), "peopleperson.save");
  const undo = button("peopleperson.cancel", () => { restore(); name.focus(); });
  tell(name, "peopleperson.name", {}, "aria-label");
  tell(name, "peopleperson.who", {}, "placeholder");
  const rename = el("form", { class: "fk-row", onsubmit: (event) => {
    event.preventDefault();
    if (changed()) send("name", { name: name.value });
  } }, name, save, undo);
  const hide = el("button", { type: "button", onclick: () => send("hide", { hidden: !model.get("person").hidden }) });
  const changed = () => name.value.trim() !== (model.get("person").name ?? "");
  const drawName = () => (save.hidden = undo.hidden = !changed());
  const restore = () => {
    name.value = model.get("person").name ?? "";
    if (model.get("taken").id) send("forget");
    drawName();
  };
  name.addEventListener("input", drawName);
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    restore();
    event.stopPropagation();
  });
  const taken = el("div", { class: "fk-row fk-ask", role: "alert" });
  root.append(el("div", { class: "fk-row fk-top" }, back, changes ? hide : null),
    el("div", { class: "fk-row fk-person" }, cover, el("div", { class: "fk-names" }, title, changes ? rename : null, numbers)));
  if (changes) root.append(taken);
  root.append(problemLine(model, signal));

  watch(model, ["person", "language"], () => {
    const person = model.get("person");
    if (!person.id) return;
    title.textContent = called(model, person);
    title.classList.toggle("fk-hidden", changes); // the field shows it
    numbers.textContent = counts(model, person) + (person.hidden ? ` · ${say(model, "peopleperson.is_hidden")}` : "");
    tell(hide, person.hidden ? "peopleperson.show" : "peopleperson.hide");
    const another = shown !== person.id;
    if (another || document.activeElement !== name || !changed()) name.value = person.name ?? "";
    drawName();
    if (another) focusWhenSeen(() => back, signal);
    shown = person.id;
  }, signal);
  watch(model, ["cover"], () => cover.replaceChildren(facePicture(model.get("cover"), urls)), signal);
  watch(model, ["taken", "language"], () => {
    const other = model.get("taken");
    taken.hidden = !other.id;
    if (!other.id) return taken.replaceChildren();
    const merge = el("button", { type: "button", class: "fk-primary", onclick: () => send("merge", { id: other.id, keep: other.id }) },
      say(model, "peopleperson.merge_with", other));
    const keep = el("button", { type: "button", onclick: () => { restore(); name.focus(); } }, say(model, "peopleperson.cancel"));
    taken.replaceChildren(el("span", {}, say(model, "peopleperson.taken", other)), merge, keep);
  }, signal);
  if (!changes) return;

  // who may be the same
  const same = el("section", { class: "fk-same" });
  root.append(same);
  watch(model, ["duplicates", "duplicate_thumbs", "language"], () => {
    const list = model.get("duplicates");
    const thumbs = model.get("duplicate_thumbs");
    const person = model.get("person");
    if (same.contains(document.activeElement)) back.focus();
    urls.keep([...thumbs, ...model.get("match_thumbs"), model.get("cover")]);
    same.hidden = !list.length;
    same.replaceChildren(el("h2", {}, say(model, "peopleperson.duplicates")), el("ul", { class: "fk-list" }, ...list.map((other, index) => {
      const name = called(model, other);
      /** @type {(words: string, kind: string, values?: Values) => HTMLButtonElement} */
      const act = (words, kind, values = {}) => {
        const one = el("button", { type: "button", onclick: () => send(kind, { id: other.id, ...values }) }, words);
        one.setAttribute("aria-label", `${words}: ${name}`);
        return one;
      };
      const yes = person.name && other.name && person.name !== other.name
        ? [person, other].map((one) => act(say(model, "peopleperson.both", { name: one.name }), "merge", { keep: one.id }))
        : [act(say(model, "peopleperson.same"), "merge")];
      return el("li", {}, facePicture(thumbs[index], urls),
        el("span", { class: "fk-text" }, el("b", {}, name), el("span", { class: "fk-muted" }, counts(model, other)),
          el("span", { class: "fk-muted" }, say(model, "peopleperson.alike", { value: decimals(model, other.similarity) }))),
        el("span", { class: "fk-row" }, ...yes, act(say(model, "peopleperson.different"), "different"), act(say(model, "peopleperson.see"), "open")));
    })));
  }, signal);

  // what is done with the faces that are selected
  const hint = tell(el("p", { class: "fk-muted" }), "peopleperson.hint");
  const odd = el("button", { type: "button", onclick: () => {
    model.set("selected", [...model.get("outliers")]);
    model.save_changes();
  } });
  const chosen = el("span", { class: "fk-verdict", role: "status" });
  const setCover = button("peopleperson.cover", () => send("cover"));
  const move = button("peopleperson.move", () => choose(moving.hidden !== false));
  move.setAttribute("aria-expanded", "false");
  const acts = el("div", { class: "fk-row fk-acts" }, chosen, button("peopleperson.not", () => send("not"), "fk-primary"), move,
    button("peopleperson.split", () => send("split")), setCover);
  const text = tell(tell(el("input", { type: "search", autocomplete: "off", spellcheck: "false" }),
    "peopleperson.whose", {}, "aria-label"), "peopleperson.whose", {}, "placeholder");
  const found = el("ul", { class: "fk-list fk-found" });
  const moving = el("div", { class: "fk-moving", hidden: true }, text, found);
  const tools = el("div", { class: "fk-tools" }, acts, moving);
  root.append(el("div", { class: "fk-row" }, hint, odd), tools);
  tools.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || moving.hidden) return;
    choose(false);
    move.focus();
    event.stopPropagation();
  });
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => send("find", { text: text.value }), WAIT);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    found.querySelector("button")?.focus(); // a second Enter decides
  });
  /** @param {boolean} open */
  function choose(open) {
    moving.hidden = !open;
    move.setAttribute("aria-expanded", String(open));
    if (!open) return;
    text.value = "";
    send("find", { text: "" });
    text.focus();
  }

  watch(model, ["selected", "outliers", "faces_shown", "language"], () => {
    const count = model.get("selected").length;
    const outliers = model.get("outliers").length;
    if (!count && tools.contains(document.activeElement)) back.focus();
    tools.hidden = !count;
    const faces = model.get("faces_shown");
    hint.hidden = !faces || Boolean(count);
    odd.hidden = hint.hidden || !outliers;
    setCover.hidden = count !== 1;
    tell(chosen, "peopleperson.selected", { count });
    tell(odd, "peopleperson.outliers", { count: outliers });
    if (!count) choose(false);
  }, signal);
  watch(model, ["matches", "match_thumbs", "language"], () => {
    const { text: asked = "", people = [] } = model.get("matches");
    const thumbs = model.get("match_thumbs");
    const rows = people.map((person, index) => el("li", {}, el("button", { type: "button", onclick: () => send("move", { id: person.id }) },
      facePicture(thumbs[index], urls), el("span", { class: "fk-text" }, el("b", {}, called(model, person)),
        el("span", { class: "fk-muted" }, counts(model, person))))));
    const name = asked.trim();
    if (name && !people.some((person) => person.name?.toLowerCase() === name.toLowerCase())) {
      rows.push(el("li", {}, el("button", { type: "button", onclick: () => send("split_named", { name }) },
        say(model, "peopleperson.new_person", { name }))));
    }
    found.replaceChildren(...rows);
  }, signal);
}

export default { render };
