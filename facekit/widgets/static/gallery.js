// A page of photos or faces: look, select, turn the page, open the large view (large.js).
import { largeView } from "./large.js";
import { pager } from "./pager.js";
import { boxes, decimals, el, frame, pictures, problemLine, say, watch } from "./shared.js";

/** @import { Box, Gallery, Model, Tile, Urls } from "./types" */

/**
 * Whose a box is, below it; the text under the picture says it too.
 * @param {Box} box
 * @param {string} name
 */
function nameTag([x, y, width, height], name) {
  if (!name) return null;
  const tag = el("span", { class: "fk-tag", "aria-hidden": "true" }, name);
  /** @param {number} value */
  const percent = (value) => `${100 * Math.min(Math.max(value, 0), 1)}%`;
  Object.assign(tag.style, { left: percent(x + width / 2), top: percent(y + height) });
  return tag;
}

/**
 * A thumbnail with its boxes exactly over it: the frame is square, so the picture's share of it follows from its shape.
 * @param {Model} model
 * @param {Tile} tile
 * @param {DataView<ArrayBuffer> | undefined} view
 * @param {Urls} urls
 * @param {HTMLElement} name
 */
function thumbnail(model, tile, view, urls, name) {
  const square = el("div", { class: "fk-frame" });
  const missing = () => square.replaceChildren(el("span", { class: "fk-muted" }, say(model, "gallery.no_picture")));
  if (!view?.byteLength) {
    missing();
    return square;
  }
  const alt = tile.boxes.length
    ? say(model, "gallery.alt", { name: tile.label, count: tile.boxes.length })
    : tile.label;
  const picture = el("div", { class: "fk-picture" });
  const image = el("img", { alt, decoding: "async", draggable: "false" });
  image.addEventListener("load", () => {
    name.setAttribute("aria-hidden", "true"); // the picture says it, with the number of faces
    const longer = Math.max(image.naturalWidth, image.naturalHeight);
    picture.style.width = `${(100 * image.naturalWidth) / longer}%`;
    picture.style.height = `${(100 * image.naturalHeight) / longer}%`;
    picture.append(boxes(tile.boxes, tile.chosen, tile.poor.map((why) => why && say(model, "common.poor_face", { reason: why }))), ...tile.boxes.flatMap((box, index) => nameTag(box, tile.names[index]) ?? []));
  });
  image.addEventListener("error", missing);
  image.src = urls.url(view);
  picture.append(image);
  square.append(picture);
  return square;
}

/**
 * @param {Model} model
 * @param {Tile} tile
 * @param {DataView<ArrayBuffer> | undefined} view
 * @param {Urls} urls
 */
function tileOf(model, tile, view, urls) {
  const name = el("b", { class: "fk-name" }, tile.label);
  const text = el("div", { class: "fk-text" }, name);
  if (tile.similarity !== null) {
    const value = el("span", { class: "fk-value" }, decimals(model, tile.similarity));
    text.append(el("span", {}, el("span", { class: "fk-muted" }, `${say(model, "gallery.similarity")} `), value));
  }
  if (tile.person) text.append(el("span", { class: "fk-person" }, tile.person));
  if (tile.origin) text.append(el("span", { class: "fk-origin fk-muted" }, tile.origin));
  if (tile.copies > 1) text.append(el("span", { class: "fk-muted" }, say(model, "gallery.copies", { count: tile.copies })));
  if (tile.note) {
    const words = tile.note_key ? say(model, tile.note_key) : tile.note;
    text.append(el("span", { class: "fk-note", title: tile.note, lang: tile.note_key ? null : "en" }, words));
  }
  return el("div",
    { class: "fk-tile", role: "option", tabindex: "-1", title: tile.title, "data-lm-suppress-shortcuts": "true" },
    thumbnail(model, tile, view, urls, name), text, el("span", { class: "fk-mark", "aria-hidden": "true" }));
}

/** @param {import("./types").View<import("./types").Gallery>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "gallery");
  const urls = pictures(signal);
  const count = el("p", { class: "fk-count", role: "status" });
  const clear = el("button", { type: "button", onclick: () => choose([]) });
  const grid = el("div", { class: "fk-grid", role: "listbox", "aria-multiselectable": "true" });
  const empty = el("p", { class: "fk-empty fk-muted" });
  const large = largeView(model, signal, () => focus(Math.max(0, keys().indexOf(large.shown))));
  const head = el("div", { class: "fk-head" }, count, clear, pager(model, turn, signal));
  root.append(head, problemLine(model, signal), empty, grid, large.dialog);
  let focused = 0; // the tile that Tab comes to
  let anchor = 0; // where a range begins
  let wanted = -1; // the tile to focus when the page that was asked for has come

  const tiles = () => /** @type {HTMLElement[]} */ ([...grid.children]);
  /** @param {Event} event */
  const tileAt = (event) => {
    const node = /** @type {Element} */ (event.target);
    const tile = node.closest(".fk-tile");
    return { index: tiles().findIndex((one) => one === tile), mark: Boolean(node.closest(".fk-mark")) };
  };
  const keys = () => model.get("tiles").map((tile) => tile.key);
  /**
   * @template {keyof Gallery} K
   * @param {K} name
   * @param {Gallery[K]} value
   */
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  /** @param {string[]} list */
  function choose(list) {
    set("selected", [...new Set(list)]);
  }

  /** @param {number} index */
  function toggle(index) {
    const key = keys()[index];
    const selected = model.get("selected");
    anchor = index;
    choose(selected.includes(key) ? selected.filter((other) => other !== key) : [...selected, key]);
  }

  /**
   * Select from the anchor to here; what is selected on other pages stays.
   * @param {number} index
   */
  function range(index) {
    const here = keys();
    const elsewhere = model.get("selected").filter((key) => !here.includes(key));
    choose([...elsewhere, ...here.slice(Math.min(anchor, index), Math.max(anchor, index) + 1)]);
  }

  /**
   * @param {number} index
   * @param {boolean} [move]
   */
  function focus(index, move = true) {
    const all = tiles();
    if (!all.length) return;
    all[focused]?.setAttribute("tabindex", "-1");
    focused = Math.min(Math.max(index, 0), all.length - 1);
    all[focused].setAttribute("tabindex", "0");
    if (move) all[focused].focus();
  }

  /** @param {number} page */
  function turn(page) {
    const pages = Math.ceil(model.get("total") / model.get("page_size"));
    if (page === model.get("page") || page < 0 || page >= pages) {
      wanted = -1;
      return;
    }
    grid.setAttribute("aria-busy", "true");
    set("page", page);
  }

  /** How many tiles stand in a row. */
  function columns() {
    const all = tiles();
    const below = all.findIndex((tile) => tile.offsetTop > all[0].offsetTop);
    return below < 0 ? all.length : below;
  }

  grid.addEventListener("click", (event) => {
    const { index, mark } = tileAt(event);
    if (index < 0) return;
    focus(index);
    if (event.shiftKey) range(index);
    else if (mark || event.ctrlKey || event.metaKey) toggle(index);
    else if (event.pointerType === "touch") set("opened", keys()[index]); // a finger has no double click
    else {
      anchor = index;
      choose([keys()[index]]);
    }
  });
  grid.addEventListener("focusin", (event) => focus(tileAt(event).index, false));
  grid.addEventListener("dblclick", (event) => {
    const { index, mark } = tileAt(event);
    if (index >= 0 && !mark) set("opened", keys()[index]);
  });
  grid.addEventListener("keydown", (event) => {
    const last = grid.children.length - 1;
    const control = event.ctrlKey || event.metaKey;
    /** @type {Record<string, () => number>} */
    const moves = {
      ArrowLeft: () => focused - 1,
      ArrowRight: () => focused + 1,
      ArrowUp: () => (focused - columns() < 0 ? focused : focused - columns()),
      ArrowDown: () => (focused + columns() > last ? focused : focused + columns()),
      Home: () => 0,
      End: () => last,
    };
    /** @type {Record<string, number>} */
    const pages = { PageUp: -1, PageDown: 1 };
    if (event.altKey) return;
    if (event.key in moves) {
      const from = focused;
      focus(moves[event.key]());
      if (event.shiftKey) range(focused);
      else if (from !== focused) anchor = focused;
    } else if (event.key in pages) {
      wanted = 0;
      turn(model.get("page") + pages[event.key]);
    } else if (event.key === " ") toggle(focused);
    else if (event.key === "Enter") set("opened", keys()[focused]);
    else if (control && event.key.toLowerCase() === "a") choose([...model.get("selected"), ...keys()]);
    else if (event.key === "Escape" && model.get("selected").length) choose([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  watch(model, ["loaded", "language"], () => {
    if (grid.contains(document.activeElement) && wanted < 0) wanted = focused;
    const thumbs = model.get("thumbs");
    urls.keep(thumbs);
    const kind = model.get("kind");
    grid.replaceChildren(...model.get("tiles").map((tile, index) => tileOf(model, tile, thumbs[index], urls)));
    grid.removeAttribute("aria-busy");
    grid.setAttribute("aria-label", say(model, `gallery.${kind}`));
    grid.hidden = !grid.children.length;
    empty.hidden = !grid.hidden;
    empty.textContent = say(model, `gallery.empty.${kind}`);
    clear.textContent = say(model, "gallery.clear");
    focused = anchor = 0;
    focus(Math.max(0, wanted), wanted >= 0);
    wanted = -1;
  }, signal);
  watch(model, ["loaded", "language", "selected", "total"], () => {
    const selected = new Set(model.get("selected"));
    const here = keys();
    tiles().forEach((tile, index) => tile.setAttribute("aria-selected", String(selected.has(here[index]))));
    const words = [say(model, `gallery.count.${model.get("kind")}`, { count: model.get("total") })];
    if (selected.size) words.push(say(model, "gallery.selected", { count: selected.size }));
    count.textContent = words.join(" · ");
    const pages = Math.ceil(model.get("total") / model.get("page_size"));
    if (pages > 1) { // read out when the page was turned; seen in the pager
      const place = say(model, "common.pager.page_of", { page: model.get("page") + 1, pages });
      count.append(el("span", { class: "fk-hidden" }, ` · ${place}`));
    }
    clear.hidden = !selected.size;
  }, signal);
  watch(model, ["problem"], () => grid.removeAttribute("aria-busy"), signal);
}

export default { render };
