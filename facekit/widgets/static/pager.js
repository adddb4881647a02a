// Turning pages.
import { el, say, watch } from "./shared.js";

/** First, previous, "page [3] of 20", next and last, for a model with `page`, `page_size` and `total`. */
export function pager(model, turn, signal) {
  const button = (key, symbol, target) =>
    el("button", { type: "button", "data-key": key, onclick: () => turn(target()) }, symbol);
  const last = () => Math.max(0, Math.ceil(model.get("total") / model.get("page_size")) - 1);
  const [first, previous, next, end] = [
    button("common.pager.first", "«", () => 0),
    button("common.pager.previous", "‹", () => model.get("page") - 1),
    button("common.pager.next", "›", () => model.get("page") + 1),
    button("common.pager.last", "»", last),
  ];
  const input = el("input", { type: "text", inputmode: "numeric", size: "4", autocomplete: "off" });
  input.addEventListener("change", () => {
    const number = Number.parseInt(input.value, 10);
    if (Number.isInteger(number)) turn(Math.min(Math.max(number - 1, 0), last()));
    input.value = String(model.get("page") + 1);
  });
  const before = el("span");
  const after = el("span");
  const label = el("label", {}, before, " ", input, " ", after);
  const nav = el("nav", { class: "fk-pager" }, first, previous, label, next, end);
  watch(model, ["page", "total", "page_size", "language"], () => {
    const page = model.get("page");
    for (const one of [first, previous, next, end]) {
      one.title = say(model, one.dataset.key);
      one.setAttribute("aria-label", one.title);
    }
    // Kept focusable: a button that is disabled under the keyboard's focus loses it.
    for (const one of [first, previous]) one.setAttribute("aria-disabled", String(page <= 0));
    for (const one of [next, end]) one.setAttribute("aria-disabled", String(page >= last()));
    nav.setAttribute("aria-label", say(model, "common.pager.pages"));
    before.textContent = say(model, "common.pager.page");
    after.textContent = say(model, "common.pager.of", { pages: last() + 1 });
    input.value = String(page + 1);
    nav.hidden = last() === 0;
  }, signal);
  return nav;
}
