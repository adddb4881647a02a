// Turning pages.
import { el, say, watch } from "./shared.js";

/**
 * First, previous, "page [3] of 20", next and last, for a model with `page`, `page_size` and `total`.
 * @param {import("./types").Model<import("./types").Pages>} model
 * @param {(page: number) => void} turn
 * @param {import("./types").Signal} signal
 */
export function pager(model, turn, signal) {
  /** @type {(key: string, symbol: string, target: () => number) => { key: string, node: HTMLButtonElement }} */
  const button = (key, symbol, target) =>
    ({ key, node: el("button", { type: "button", onclick: () => turn(target()) }, symbol) });
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
  const nav = el("nav", { class: "fk-pager" }, first.node, previous.node, label, next.node, end.node);
  watch(model, ["page", "total", "page_size", "language"], () => {
    const page = model.get("page");
    for (const { key, node } of [first, previous, next, end]) {
      node.title = say(model, key);
      node.setAttribute("aria-label", node.title);
    }
    // Kept focusable: a button that is disabled under the keyboard's focus loses it.
    for (const { node } of [first, previous]) node.setAttribute("aria-disabled", String(page <= 0));
    for (const { node } of [next, end]) node.setAttribute("aria-disabled", String(page >= last()));
    nav.setAttribute("aria-label", say(model, "common.pager.pages"));
    before.textContent = say(model, "common.pager.page");
    after.textContent = say(model, "common.pager.of", { pages: last() + 1 });
    input.value = String(page + 1);
    nav.hidden = last() === 0;
  }, signal);
  return nav;
}
