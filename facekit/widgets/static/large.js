// The large view of a photo: zoom, boxes, facts, the photos before and after it.
import { boxes, decimals, el, languageOf, pictures, problemLine, say, watch } from "./shared.js";

const MOST_ZOOM = 12; // times the size at which the whole photo is seen

/** @import { Gallery, LargePhoto, Model, Signal } from "./types" */
/** @typedef {[x: number, y: number]} Point */

/**
 * A picture in a stage that can be zoomed and moved. `content` is sized, not transformed: lines keep their width.
 * @param {HTMLElement} stage
 * @param {HTMLElement} content
 * @param {Signal} signal
 */
function zoomable(stage, content, signal) {
  let size = [1, 1];
  let zoom = 1;
  let [x, y] = [0, 0]; // how far the picture's middle is from the stage's
  /** @type {Map<number, Point>} */
  const fingers = new Map();

  function place() {
    const [wide, high] = [stage.clientWidth, stage.clientHeight];
    const fit = Math.min(wide / size[0], high / size[1]) * zoom;
    const [width, height] = [size[0] * fit, size[1] * fit];
    const [freeX, freeY] = [Math.max(0, (width - wide) / 2), Math.max(0, (height - high) / 2)];
    x = Math.min(Math.max(x, -freeX), freeX);
    y = Math.min(Math.max(y, -freeY), freeY);
    Object.assign(content.style, {
      width: `${width}px`, height: `${height}px`,
      left: `${(wide - width) / 2 + x}px`, top: `${(high - height) / 2 + y}px`,
    });
    stage.classList.toggle("fk-zoomed", zoom > 1);
  }

  /**
   * Zoom so that what is at this point of the window stays there; without a point, the middle stays.
   * @param {number} factor
   * @param {Point} [point]
   */
  function scale(factor, point) {
    const box = stage.getBoundingClientRect();
    const [px, py] = point ? [point[0] - box.left - box.width / 2, point[1] - box.top - box.height / 2] : [0, 0];
    const next = Math.min(Math.max(zoom * factor, 1), MOST_ZOOM);
    x = px - ((px - x) * next) / zoom;
    y = py - ((py - y) * next) / zoom;
    zoom = next;
    place();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  function move(dx, dy) {
    x += dx;
    y += dy;
    place();
  }

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    scale(Math.exp(-event.deltaY / 400), [event.clientX, event.clientY]);
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    /** @type {Point} */
    const now = [event.clientX, event.clientY];
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    fingers.set(event.pointerId, now);
    if (!other) return move(now[0] - before[0], now[1] - before[1]);
    /** @param {Point} point */
    const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
    move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    scale(apart(now) / apart(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
    stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  const watcher = new ResizeObserver(place);
  watcher.observe(stage);
  signal?.addEventListener("abort", () => watcher.disconnect());
  return {
    scale,
    move,
    /**
     * @param {number | null} [width]
     * @param {number | null} [height]
     */
    reset(width, height) {
      if (width && height) size = [width, height];
      [zoom, x, y] = [1, 0, 0];
      place();
    },
  };
}

/**
 * @param {Model} model
 * @param {number} bytes
 */
function fileSize(model, bytes) {
  const [unit, amount] = bytes < 1e6 ? ["kilobyte", bytes / 1e3] : ["megabyte", bytes / 1e6];
  /** @type {Intl.NumberFormatOptions} */
  const format = { style: "unit", unit, maximumFractionDigits: amount < 10 ? 1 : 0 };
  return new Intl.NumberFormat(languageOf(model), format).format(amount);
}

/**
 * Where a photo is from, as a link to the page that shows it there where that is known.
 * @param {LargePhoto["places"][number]} place
 */
function origin({ words, path, link }) {
  const text = words || path;
  return link ? el("a", { href: link, target: "_blank", rel: "noopener noreferrer", title: path }, text) : el("span", {}, text);
}

/**
 * What is known of a photo, as pairs of a text's key and words, or an element with them.
 * @param {Model} model
 * @param {LargePhoto} large
 * @returns {[key: string, words: string | Node | null][]}
 */
function facts(model, large) {
  const status = say(model, `gallery.status.${large.status}`);
  /** @param {string} at */
  const moment = (at) => // the camera's clock, whatever its zone: as it stands in the file
    new Date(at.slice(0, 19)).toLocaleString(languageOf(model), { dateStyle: "long", timeStyle: "short" });
  const people = large.faces.map((face) => face.person).filter(Boolean);
  const chosen = large.faces[large.chosen];
  /** @type {[key: string, words: string | Node | null][]} */
  const pairs = [
    ["file", large.copies > 1 ? `${large.path} (${say(model, "gallery.copies", { count: large.copies })})` : large.path],
    ["from", large.places.some((one) => one.words || one.link)
      ? el("span", { class: "fk-places" }, ...large.places.map(origin)) : ""],
    ["people", people.join(", ")],
    ["similarity", chosen && chosen.similarity !== null ? decimals(model, chosen.similarity) : ""],
    ["faces", large.status === "ok" ? large.faces.length.toLocaleString(languageOf(model)) : ""],
    ["taken", large.taken_at ? moment(large.taken_at) : ""],
    ["camera", large.camera],
    ["place", large.place ? large.place.map((degrees) => degrees.toFixed(5)).join(", ") : ""],
    ["size", large.width ? `${large.width} × ${large.height}` : ""],
    ["bytes", fileSize(model, large.bytes)],
    ["format", large.format],
    ["status", large.reason ? el("span", {}, status, ": ", el("span", { lang: "en" }, large.reason)) : status],
  ];
  return pairs.filter(([, words]) => words);
}

/**
 * The large view as a dialog that opens and closes with the trait `opened`; `closed` is called when it has closed.
 * @param {Model<Gallery>} model
 * @param {Signal} signal
 * @param {() => void} closed
 */
export function largeView(model, signal, closed) {
  const urls = pictures(signal);
  const title = el("h2", { class: "fk-title" });
  const place = el("span", { class: "fk-muted" });
  const from = el("span", { class: "fk-from" });
  const problem = problemLine(model, signal);
  const list = el("dl", { class: "fk-facts" });
  const image = el("img", { draggable: "false", decoding: "async" });
  const overlay = el("div", { class: "fk-overlay" });
  const content = el("div", { class: "fk-content" }, image, overlay);
  const waiting = el("span", { class: "fk-waiting" });
  const stage = el("div", { class: "fk-stage" }, content, waiting);
  const view = zoomable(stage, content, signal);

  /** @type {(key: string, symbol: string, act: () => void) => HTMLButtonElement} */
  const button = (key, symbol, act) => el("button", { type: "button", "data-key": key, onclick: act }, symbol);
  /** @param {number} by */
  const step = (by) => model.send({ kind: "step", by });
  const zoomOut = button("gallery.zoom_out", "−", () => view.scale(1 / 1.5));
  const previous = button("gallery.photo_before", "‹", () => step(-1));
  const next = button("gallery.photo_after", "›", () => step(1));
  const whole = button("gallery.zoom_whole", "⤢\uFE0E", () => view.reset());
  const zoomIn = button("gallery.zoom_in", "+", () => view.scale(1.5));
  const close = button("gallery.close", "✕\uFE0E", () => dialog.close());
  close.autofocus = true;
  const check = el("input", { type: "checkbox", ".checked": true });
  const word = el("span");
  const shown = el("label", { class: "fk-switch" }, check, word);
  check.addEventListener("change", () => overlay.toggleAttribute("hidden", !check.checked));
  const tools = el("div", { class: "fk-tools" }, previous, next, zoomOut, whole, zoomIn, shown);
  const dialog = el("dialog", { class: "fk-large" },
    el("header", {}, el("div", { class: "fk-names", role: "status" }, title, place, from), tools, close),
    problem, el("div", { class: "fk-body" }, stage, list));
  const result = { shown: "", dialog };

  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    /** @type {Record<string, [dx: number, dy: number]>} */
    const pans = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    /** @type {Record<string, () => unknown>} */
    const acts = {
      "+": () => view.scale(1.5), "=": () => view.scale(1.5), "-": () => view.scale(1 / 1.5), 0: () => view.reset(),
      // A key that is held down would ask for photos faster than they come.
      ArrowLeft: () => event.repeat || step(-1), ArrowRight: () => event.repeat || step(1),
    };
    event.stopPropagation();
    if (event.key in pans && event.shiftKey) view.move(...pans[event.key]);
    else if (event.key in acts) acts[event.key]();
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("close", () => {
    if (model.get("opened")) {
      model.set("opened", "");
      model.save_changes();
    }
    closed();
  });

  /** @param {LargePhoto} large */
  function drawBoxes(large) {
    const faces = large.faces;
    overlay.replaceChildren(boxes(
      faces.map((face) => face.box), large.chosen,
      faces.map((face) => face.poor && say(model, "common.poor_face", { reason: face.poor })),
    ));
    for (const face of faces) {
      const words = [face.person, face.similarity === null ? null : decimals(model, face.similarity)].filter(Boolean);
      if (!words.length) continue;
      const [x, y, , height] = face.box;
      const tag = el("span", { class: "fk-tag" }, words.join(" "));
      Object.assign(tag.style, { left: `${100 * x}%`, top: `${100 * Math.min(y + height, 1)}%` });
      overlay.append(tag);
    }
  }

  function draw() {
    const opened = model.get("opened");
    if (!opened) {
      if (dialog.open) dialog.close();
      return;
    }
    if (!dialog.isConnected) { // rendered before it is put on the page
      if (!signal?.aborted) requestAnimationFrame(draw);
      return;
    }
    if (!dialog.open) {
      // Unseen, or over another view's, it would block the page with nothing to close it by.
      if (!dialog.parentElement?.checkVisibility() || document.querySelector("dialog.fk-large[open]")) return;
      dialog.showModal();
    }
    const large = model.get("large");
    stage.setAttribute("aria-busy", String(large.key !== opened));
    if (large.key !== opened) return;
    const another = result.shown !== opened || list.childElementCount === 0;
    result.shown = opened;
    const position = large.position + 1;
    title.textContent = large.label;
    title.title = large.path;
    place.textContent = say(model, "gallery.position", { position, total: model.get("total") });
    const [first] = large.places;
    from.replaceChildren(...(first?.link ? [" · ", origin(first)] : []));
    previous.setAttribute("aria-disabled", String(position <= 1));
    next.setAttribute("aria-disabled", String(position >= model.get("total")));
    const pairs = facts(model, large).flatMap(([key, words]) =>
      [el("dt", {}, say(model, `gallery.fact.${key}`)), el("dd", {}, words)]);
    list.replaceChildren(...pairs);
    drawBoxes(large);
    image.alt = say(model, "gallery.alt", { name: large.label, count: large.faces.length });
    if (another) view.reset(large.width, large.height);
  }

  function drawPicture() {
    const bytes = model.get("large_picture");
    const large = model.get("large");
    const there = Boolean(bytes?.byteLength);
    content.hidden = !there;
    waiting.hidden = there || !large.key;
    waiting.textContent = say(model, "gallery.no_picture");
    urls.keep([bytes]);
    if (!there) return;
    image.onload = () => {
      if (!large.width) view.reset(image.naturalWidth, image.naturalHeight);
    };
    image.src = urls.url(bytes);
  }

  watch(model, ["language"], () => {
    dialog.setAttribute("aria-label", say(model, "gallery.large"));
    for (const one of dialog.querySelectorAll("button")) {
      one.title = say(model, one.dataset.key ?? "");
      one.setAttribute("aria-label", one.title);
    }
    word.textContent = say(model, "gallery.boxes");
  }, signal);
  watch(model, ["large_picture", "language"], drawPicture, signal);
  watch(model, ["opened", "large", "language"], draw, signal);
  signal?.addEventListener("abort", () => dialog.open && dialog.close());
  return result;
}
