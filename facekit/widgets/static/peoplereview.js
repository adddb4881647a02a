// One question after the other: a face beside who it may be, and one key a decision.
import { called, counts, facePicture, focusWhenSeen } from "./people.js";
import { boxes, decimals, el, frame, pictures, problemLine, say, translator, watch } from "./shared.js";

/** @import { Candidate, FaceQuestion, MergeQuestion, Person, ReviewQueue, View } from "./types" */

/**
 * What was pressed, whatever the keyboard's language: letters of other scripts count by their place.
 * @param {KeyboardEvent} event
 */
function keyOf(event) {
  return /^([a-z0-9]|[A-Z][a-z]+)$/i.test(event.key) ? event.key.toLowerCase() : event.code.replace(/^(Key|Digit)/, "").toLowerCase();
}

/** @param {View<ReviewQueue>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "peoplereview");
  const tell = translator(model, signal);
  const urls = pictures(signal);
  const answered = new Set(); // sent, but not yet heard of: the next question is shown at once
  const current = () => model.get("items").find((item) => !answered.has(item.id));

  const progress = el("p", { class: "fk-muted", role: "status" });
  const heading = el("h2", { class: "fk-question", id: `fk-${Math.random().toString(36).slice(2)}` });
  const left = el("div", { class: "fk-side" });
  const right = el("div", { class: "fk-side fk-candidates" });
  const pair = el("div", { class: "fk-pair" }, left, right);
  /** @type {(key: string, act: () => void, kind?: string) => HTMLButtonElement & { word: HTMLElement }} */
  const button = (key, act, kind) => {
    const word = el("span");
    const one = el("button", { type: "button", class: kind, onclick: act }, word, " ", el("kbd", { "aria-hidden": "true" }, key));
    return Object.assign(one, { word });
  };
  const yes = button("Y", () => answer("yes"), "fk-primary");
  const second = button("2", () => answer("yes", 1));
  const no = button("N", () => answer("no"));
  const skip = button("S", () => answer("skip"));
  const undo = button("U", () => back());
  const acts = el("div", { class: "fk-row fk-acts" }, yes, second, no, skip, undo);
  const none = el("div", { class: "fk-empty" }, tell(el("p", { class: "fk-verdict" }), "peoplereview.nothing"),
    tell(el("p", { class: "fk-muted" }), "peoplereview.nothing_hint"));
  root.append(progress, problemLine(model, signal), heading, pair, none, acts);
  tell(acts, "peoplereview.answers", {}, "aria-label");
  acts.setAttribute("role", "group");

  /**
   * @param {"yes" | "no" | "skip"} what
   * @param {number} [candidate]
   */
  function answer(what, candidate = 0) {
    const item = current();
    if (!item) return;
    const last = item.kind === "merge" ? (bothNamed(item) ? 1 : 0) : item.candidates.length - 1;
    if (candidate > last) return;
    answered.add(item.id);
    model.send({ kind: "answer", id: item.id, answer: what, candidate });
    draw();
  }
  function back() {
    if (model.get("can_undo") || answered.size) model.send({ kind: "undo" });
  }
  /** @param {FaceQuestion | MergeQuestion} item */
  const bothNamed = (item) => item.kind === "merge" && item.person.name && item.candidates[0].name;

  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.repeat) return;
    const key = keyOf(event);
    if (event.ctrlKey || event.metaKey) {
      if (key !== "z") return;
      back();
    } else if (key === "enter") {
      if (/** @type {Element} */ (event.target).closest("button")) return; // which is what is meant
      answer("yes");
    } else {
      /** @type {Record<string, () => void>} */
      const keys = { y: () => answer("yes"), 1: () => answer("yes"), 2: () => answer("yes", 1), 3: () => answer("yes", 2),
        n: () => answer("no"), s: () => answer("skip"), u: back };
      if (!(key in keys)) return;
      keys[key]();
    }
    event.preventDefault();
    event.stopPropagation();
  });
  root.tabIndex = -1;
  for (const one of [yes, second, no, skip]) one.setAttribute("aria-describedby", heading.id);

  /** @param {DataView<ArrayBuffer>[]} views */
  const portraits = (views) => el("div", { class: `fk-portraits fk-of-${Math.min(views.length, 4)}` }, ...views.map((view) => facePicture(view, urls)));
  /** @type {(person: Person, ...more: string[]) => HTMLElement} */
  const about = (person, ...more) => el("div", { class: "fk-about" }, el("b", { class: person.name ? null : "fk-muted" }, called(model, person)),
    el("span", { class: "fk-muted" }, [counts(model, person), ...more].join(" · ")));
  /** @param {Candidate} candidate */
  const alike = (candidate) => say(model, "peoplereview.alike", { value: decimals(model, candidate.similarity) });

  /** @param {FaceQuestion} item */
  function drawFace(item) {
    const [face, photo] = item.pictures;
    const context = el("div", { class: "fk-context" });
    if (photo.byteLength) {
      const image = el("img", { alt: "", decoding: "async", draggable: "false", onerror: () => context.remove() });
      image.src = urls.url(photo);
      context.append(image, boxes([item.box], 0));
    }
    left.replaceChildren(facePicture(face, urls, say(model, "peoplereview.this_face")), context, el("span", { class: "fk-muted fk-photo" }, item.photo));
    const [first, ...others] = item.candidates;
    right.replaceChildren(portraits(first.pictures), about(first, alike(first)), ...(others.length ? [
      el("p", { class: "fk-muted" }, say(model, "peoplereview.or")),
      el("div", { class: "fk-others" }, ...others.map((one, index) => {
        const choice = el("button", { type: "button", onclick: () => answer("yes", index + 1) }, portraits(one.pictures), about(one, alike(one)),
          el("kbd", { "aria-hidden": "true" }, index + 2));
        choice.setAttribute("aria-label", say(model, "peoplereview.is", { name: called(model, one) }));
        return choice;
      }))] : []));
  }

  /** @param {MergeQuestion} item */
  function drawMerge(item) {
    const [first] = item.candidates;
    left.replaceChildren(portraits(item.pictures), about(item.person));
    right.replaceChildren(portraits(first.pictures), about(first, alike(first)));
  }

  function draw() {
    const items = model.get("items");
    const item = current();
    const [done, waiting] = [model.get("decided"), Math.max(0, model.get("waiting") - answered.size)];
    tell(progress, item || done ? (model.get("more") ? "peoplereview.progress_more" : "peoplereview.progress") : "", { done, count: waiting });
    urls.keep(items.flatMap((one) => [...one.pictures, ...one.candidates.flatMap((candidate) => candidate.pictures)]));
    for (const next of items) { // decoded before they are asked for
      for (const view of [...next.pictures, ...next.candidates.flatMap((candidate) => candidate.pictures)]) {
        if (view.byteLength) Object.assign(new Image(), { src: urls.url(view) });
      }
    }
    const coming = !item && model.get("waiting") > answered.size;
    const focused = acts.contains(document.activeElement) || right.contains(document.activeElement);
    pair.hidden = heading.hidden = !item;
    none.hidden = Boolean(item) || coming || !model.get("loaded");
    pair.classList.toggle("fk-merge", item?.kind === "merge");
    for (const one of [yes, no, skip]) one.hidden = !item && !coming; // hidden, it would lose the keyboard
    second.hidden = !item || !bothNamed(item);
    undo.hidden = !item && !model.get("can_undo");
    undo.setAttribute("aria-disabled", String(!model.get("can_undo")));
    if (item) {
      const name = called(model, item.candidates[0]);
      const named = Boolean(item.candidates[0].name);
      heading.textContent = item.kind === "merge" ? say(model, "peoplereview.merge")
        : say(model, named ? "peoplereview.face" : "peoplereview.face_unnamed", { name });
      if (item.kind === "merge") drawMerge(item);
      else drawFace(item);
      tell(yes.word, bothNamed(item) ? "peoplereview.both" : "peoplereview.yes", { name });
      tell(second.word, "peoplereview.both", { name: item.person?.name ?? "" });
    }
    root.setAttribute("aria-busy", String(coming));
    if (focused && !root.contains(document.activeElement)) root.focus(); // what was pressed went with its question
    else if (focused && !document.activeElement?.checkVisibility()) root.focus();
  }

  tell(no.word, "peoplereview.no");
  tell(skip.word, "peoplereview.skip");
  tell(undo.word, "peoplereview.undo");
  let before = 0;
  watch(model, ["loaded", "language"], () => {
    const items = model.get("items").map((item) => item.id);
    if (model.get("loaded") !== before) for (const id of [...answered]) if (!items.includes(id)) answered.delete(id);
    before = model.get("loaded");
    draw();
  }, signal);
  watch(model, ["problem"], () => {
    if (!model.get("problem").key) return;
    answered.clear(); // what failed is asked again
    draw();
  }, signal);
  /** @param {{ kind: string } | undefined} content */
  const told = (content) => content?.kind === "focus" && focusWhenSeen(() => (yes.hidden ? root : yes), signal);
  model.on("msg:custom", told);
  signal?.addEventListener("abort", () => model.off("msg:custom", told));
}

export default { render };
