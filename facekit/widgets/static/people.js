// How people look, wherever they are shown.
import { el, say } from "./shared.js";

/** @import { Model, Person, Signal, Urls } from "./types" */

/**
 * What a person is called.
 * @param {Model} model
 * @param {Pick<Person, "name">} person
 */
export function called(model, person) {
  return person.name || say(model, "common.unnamed");
}

/**
 * "12 faces · 9 photos"
 * @param {Model} model
 * @param {Person} person
 */
export function counts(model, person) {
  return `${say(model, "common.faces", { count: person.faces })} · ${say(model, "common.photos", { count: person.photos })}`;
}

/**
 * A square picture of a face; a shape stands for one that is not kept.
 * @param {DataView<ArrayBuffer> | undefined} view
 * @param {Urls} urls
 * @param {string} [alt]
 */
export function facePicture(view, urls, alt = "") {
  const frame = el("span", { class: "fk-portrait" });
  const missing = () => frame.replaceChildren(el("span", { class: "fk-nobody", role: alt ? "img" : null, "aria-label": alt || null }));
  if (!view?.byteLength) {
    missing();
    return frame;
  }
  const image = el("img", { alt, decoding: "async", draggable: "false", onerror: missing });
  image.src = urls.url(view);
  frame.append(image);
  return frame;
}

/**
 * Give a button the focus once it is on the page and seen.
 * @param {() => HTMLElement | null} find
 * @param {Signal} signal
 * @param {number} [tries]
 * @returns {void}
 */
export function focusWhenSeen(find, signal, tries = 20) {
  const node = find();
  if (node?.checkVisibility()) node.focus();
  else if (tries && !signal?.aborted) setTimeout(() => focusWhenSeen(find, signal, tries - 1), 50);
}
