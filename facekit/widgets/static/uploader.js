// Pictures of the person to search for: drop, pick, paste or take them, and say which face is meant.
import { camera } from "./camera.js";
import { scaledDown } from "./scale.js";
import { el, frame, pictures, problemLine, say, watch } from "./shared.js";

const ACCEPT = "image/*,.heic,.heif,.avif,.tif,.tiff";
const PICTURE_NAME = /\.(jpe?g|png|webp|gif|bmp|heic|heif|hif|avif|tiff?)$/i;

/** @import { Probe, Uploader, Values, View } from "./types" */
/** @typedef {{ bytes: ArrayBuffer, why?: undefined } | { bytes?: undefined, why: string, values?: Values }} Prepared */

/**
 * Whether typing or pasting goes into this element.
 * @param {Element | null} node
 */
function editable(node) {
  return node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));
}

/** @param {View<Uploader>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "uploader");
  const urls = pictures(signal);
  /** @type {{ name: string, why: string, values: Values }[]} */
  const refused = []; // what was not taken
  /** @type {Map<string, string>} */
  const pending = new Map(); // what Python has not answered yet, by id: a name
  let sent = 0;

  const input = el("input", { type: "file", accept: ACCEPT, multiple: true, hidden: true });
  input.addEventListener("change", () => {
    take([...(input.files ?? [])]); // a copy: the list is emptied below
    input.value = ""; // so that the same file can be chosen again
  });
  const pick = el("button", { type: "button", class: "fk-primary", onclick: () => input.click() });
  const device = camera(model, signal, (file) => take([file]), (why) => refuse("", why));
  const hint = el("p", { class: "fk-muted" });
  const zone = el("div", { class: "fk-zone" }, hint, el("div", { class: "fk-row" }, pick, device.button), input);
  const list = el("ul", { class: "fk-refused" });
  const cards = el("ul", { class: "fk-probes" });
  const status = el("p", { class: "fk-status", role: "status" });
  root.setAttribute("role", "region");
  root.append(zone, status, problemLine(model, signal), el("div", { role: "alert" }, list), cards, device.dialog);

  /** @type {(name: string, why: string, values?: Values) => void} */
  function refuse(name, why, values = {}) {
    refused.push({ name, why, values });
    drawRefused();
  }

  /**
   * What to send of a file, or why it is refused.
   * @param {File} file
   * @returns {Promise<Prepared>}
   */
  async function prepare(file) {
    const looksLike = file.type.startsWith("image/") || PICTURE_NAME.test(file.name);
    try {
      const small = await scaledDown(file);
      // What this browser can't show (HEIC, TIFF) Python may be able to read.
      if (small || (looksLike && file.size < model.get("largest"))) return { bytes: await (small ?? file).arrayBuffer() };
    } catch {
      return { why: "uploader.refused.unreadable" }; // gone or changed since it was chosen, or out of memory
    }
    if (!looksLike) return { why: "uploader.refused.kind" };
    return { why: "uploader.refused.large", values: { megabytes: Math.floor(model.get("largest") / 2 ** 20) } };
  }

  /**
   * Send pictures to Python, each small and in a message of its own: Jupyter's messages have a limit.
   * @param {File[]} files
   */
  async function take(files) {
    for (const file of files) {
      const name = file.name || say(model, "uploader.pasted");
      if (model.get("probes").length + pending.size >= model.get("most")) {
        refuse(name, "uploader.refused.many", { count: model.get("most") });
        continue;
      }
      const id = `${Date.now()}-${sent++}`;
      pending.set(id, name);
      draw();
      const prepared = await prepare(file);
      if (signal?.aborted) return;
      if (prepared.bytes) {
        model.send({ kind: "picture", id, name }, undefined, [prepared.bytes]);
        continue;
      }
      pending.delete(id);
      refuse(name, prepared.why, prepared.values);
      draw();
    }
  }

  function drawRefused() {
    list.replaceChildren(...refused.map((one, index) => {
      const words = el("span", {}, one.name ? el("b", {}, one.name) : null, one.name ? ": " : "",
        say(model, one.why, one.values));
      const label = say(model, "uploader.dismiss", { name: one.name });
      const dismiss = el("button", { type: "button", title: label, "aria-label": label, onclick: () => {
        refused.splice(index, 1);
        drawRefused();
        (list.querySelector("button") ?? pick).focus();
      } }, "✕\uFE0E");
      return el("li", {}, words, dismiss);
    }));
    list.hidden = !refused.length;
  }

  /** @type {(probe: Probe, one: Probe["faces"][number], index: number) => HTMLElement} */
  function face(probe, one, index) {
    const [x, y, width, height] = one.box;
    const place = `left:${100 * x}%;top:${100 * y}%;width:${100 * width}%;height:${100 * height}%`;
    const label = say(model, "uploader.face", { number: index + 1, count: probe.faces.length });
    return el("button", {
      type: "button", class: one.usable ? "fk-face" : "fk-face fk-poor", style: place, "aria-label": label,
      title: one.usable ? label : `${label}: ${say(model, "common.poor_face", { reason: one.reason })}`,
      "aria-pressed": String(index === probe.chosen), "data-index": index,
      onclick: () => model.send({ kind: "choose", id: probe.id, face: index }),
    }, el("span", { "aria-hidden": "true" }, String(index + 1)));
  }

  /**
   * What to know of a picture: what is wrong with it, or how many faces it shows.
   * @param {Probe} probe
   */
  function words(probe) {
    if (probe.problem.key) return [el("p", { class: "fk-problem" }, say(model, probe.problem.key, probe.problem.values))];
    const lines = [el("p", {}, say(model, "uploader.faces", { count: probe.faces.length }))];
    if (probe.faces.length > 1) lines.push(el("p", { class: "fk-muted" }, say(model, "uploader.choose")));
    const { usable, reason } = probe.faces[probe.chosen];
    if (!usable) lines.push(el("p", { class: "fk-problem", title: reason }, say(model, "uploader.poor")));
    return lines;
  }

  /** @type {(probe: Probe, preview: DataView<ArrayBuffer> | undefined) => HTMLElement} */
  function card(probe, preview) {
    const label = say(model, "uploader.remove", { name: probe.name });
    const remove = el("button", { type: "button", class: "fk-remove", title: label, "aria-label": label, onclick: () => {
      pick.focus();
      model.send({ kind: "remove", id: probe.id });
    } }, "✕\uFE0E");
    const picture = preview?.byteLength
      ? el("div", { class: "fk-picture", role: "group", "aria-label": probe.name },
        el("img", { src: urls.url(preview), alt: probe.name, draggable: "false" }),
        ...probe.faces.map((one, index) => face(probe, one, index)))
      : null;
    return el("li", { class: "fk-card", "data-id": probe.id }, picture ?? el("div", { class: "fk-nothing" }),
      el("div", { class: "fk-text" }, el("div", { class: "fk-top" }, el("b", { class: "fk-name", title: probe.name }, probe.name), remove), ...words(probe)));
  }

  function draw() {
    const probes = model.get("probes");
    const previews = model.get("previews");
    const active = document.activeElement;
    const [id, index] = [active?.closest(".fk-card")?.getAttribute("data-id"), active?.getAttribute("data-index")];
    for (const probe of probes) pending.delete(probe.id);
    urls.keep(previews);
    cards.replaceChildren(...probes.map((probe, number) => card(probe, previews[number])));
    cards.append(...[...pending.values()].map((name) =>
      el("li", { class: "fk-card fk-pending", "aria-busy": "true" }, el("div", { class: "fk-nothing" }),
        el("div", { class: "fk-text" }, el("b", { class: "fk-name" }, name), el("p", { class: "fk-muted" }, say(model, "uploader.looking"))))));
    cards.hidden = !cards.childElementCount;
    if (id && index) { // the focus stays on the face that was chosen
      /** @type {HTMLElement | null | undefined} */
      const again = [...cards.children].find((one) => one.getAttribute("data-id") === id)?.querySelector(`[data-index="${index}"]`);
      again?.focus();
    }
    const usable = probes.filter((probe) => probe.faces.length).length;
    status.textContent = pending.size
      ? say(model, "uploader.looking")
      : probes.length ? say(model, "uploader.usable", { count: usable }) : "";
  }

  /** @param {DragEvent} event */
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  root.addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    zone.classList.add("fk-over");
  });
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(/** @type {Node | null} */ (event.relatedTarget))) zone.classList.remove("fk-over");
  });
  root.addEventListener("drop", (event) => {
    zone.classList.remove("fk-over");
    if (!carries(event)) return;
    event.preventDefault();
    event.stopPropagation();
    take([...(event.dataTransfer?.files ?? [])]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const ours = root.contains(document.activeElement);
    const free = !editable(document.activeElement) && root.offsetParent !== null; // on a page that is seen
    if (!files.length || event.defaultPrevented || !(ours || free)) return;
    event.preventDefault(); // also tells another uploader that these are taken
    take(files);
  }, { signal });

  watch(model, ["language", "most"], () => {
    root.setAttribute("aria-label", say(model, "uploader.title"));
    pick.textContent = say(model, "uploader.pick");
    hint.textContent = say(model, "uploader.hint");
    drawRefused();
  }, signal);
  watch(model, ["version", "language"], draw, signal); // the version comes last, with the pictures
  watch(model, ["problem"], () => {
    if (!model.get("problem")?.key) return;
    pending.clear(); // what failed will not be answered
    draw();
  }, signal);
}

export default { render };
