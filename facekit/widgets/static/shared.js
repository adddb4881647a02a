// What every widget uses. Its code is put in front of a widget's own (see base.py).
import TEXTS from "./texts.json" with { type: "json" };

/** @import { Attribute, Box, Child, Model, Named, Shared, Signal, Tell, Urls, Values } from "./types" */
/** @typedef {string | Record<string, string>} Text in one language: itself, or its plural forms by CLDR category */

/**
 * The language to speak: the model's choice, or the browser's where it is one of ours.
 * @param {Model} model
 */
export function languageOf(model) {
  const asked = model.get("language") || navigator.language || "en";
  return asked.toLowerCase().startsWith("ru") ? "ru" : "en";
}

/**
 * A text in the model's language; `{name}` is replaced, and `count` chooses the plural form.
 * @param {Model} model
 * @param {string} key
 * @param {Values} [values]
 */
export function say(model, key, values = {}) {
  const language = languageOf(model);
  /** @type {Record<string, { en: Text, ru: Text }>} */
  const texts = TEXTS;
  let text = texts[key]?.[language];
  if (text === undefined) return String(values.message ?? key);
  if (typeof text !== "string") text = text[new Intl.PluralRules(language).select(Number(values.count))] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (all, name) => {
    const value = values[name] ?? all;
    return typeof value === "number" ? value.toLocaleString(language) : String(value);
  });
}

/**
 * A similarity in the model's language: three digits are as many as mean something.
 * @param {Model} model
 * @param {number} value
 */
export function decimals(model, value) {
  return value.toLocaleString(languageOf(model), { minimumFractionDigits: 3, maximumFractionDigits: 3 });
}

/**
 * An element with attributes (properties where the name starts with a dot, listeners with `on`) and children.
 * @template {string} N
 * @param {N} name
 * @param {Record<string, Attribute>} [attributes]
 * @param {Child[]} children
 * @returns {Named<N>}
 */
export function el(name, attributes = {}, ...children) {
  /** @type {any} */
  const node = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  // JupyterLab's shortcuts ("d d" deletes a cell) stay away from what can have the focus.
  if (/^(a|button|dialog|input|select|textarea)$/.test(name)) node.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith(".")) node[key.slice(1)] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/**
 * Box outlines over a picture, in 0..1 of it: a light line on a dark one, seen on any photo.
 * @param {Box[]} list
 * @param {number} [chosen]
 * @param {string[]} [poor]
 */
export function boxes(list, chosen = -1, poor = []) {
  const svg = el("svg:svg", { class: "fk-boxes", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  list.forEach(([x, y, width, height], index) => {
    for (const kind of ["fk-halo", "fk-box"]) {
      const rect = el("svg:rect", { class: kind, x, y, width, height });
      if (index === chosen) rect.classList.add("fk-chosen");
      if (poor[index]) {
        rect.classList.add("fk-poor");
        rect.append(el("svg:title", {}, poor[index]));
      }
      svg.append(rect);
    }
  });
  return svg;
}

/**
 * Addresses for binary pictures: one a picture, given back when it is no longer kept or the signal aborts.
 * @param {Signal} signal
 * @returns {Urls}
 */
export function pictures(signal) {
  /** @type {Map<DataView<ArrayBuffer>, string>} */
  const urls = new Map();
  /** @type {Urls["keep"]} */
  const keep = (views) => {
    for (const [view, url] of urls) {
      if (views.includes(view)) continue;
      urls.delete(view);
      setTimeout(() => URL.revokeObjectURL(url), 1000); // an image that is being replaced may still be reading it
    }
  };
  signal?.addEventListener("abort", () => keep([]));
  return {
    keep,
    url(view, type = "image/jpeg") {
      const url = urls.get(view) ?? URL.createObjectURL(new Blob([view], { type }));
      urls.set(view, url);
      return url;
    },
  };
}

/**
 * What the browser keeps under a key; null where nothing is, or it may not.
 * @param {"localStorage" | "sessionStorage"} storage
 * @param {string} key
 */
export function recall(storage, key) {
  try {
    return window[storage].getItem(key);
  } catch {
    return null; // storage is forbidden
  }
}

/**
 * Have the browser keep this under a key, or nothing any more for null; where it may not, it is forgotten.
 * @param {"localStorage" | "sessionStorage"} storage
 * @param {string} key
 * @param {string | null} value
 */
export function remember(storage, key, value) {
  try {
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, value);
  } catch {
    // storage is forbidden or full
  }
}

/**
 * Keep a node in the host's theme: JupyterLab and Voila say theirs, VS Code too, otherwise the system's counts.
 * @param {HTMLElement} node
 * @param {Signal} signal
 */
export function followTheme(node, signal) {
  const body = document.body;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let dark = system.matches;
    if (body.dataset.jpThemeLight) dark = body.dataset.jpThemeLight === "false";
    else if (body.dataset.vscodeThemeKind) dark = body.dataset.vscodeThemeKind.includes("dark");
    else if (document.documentElement.dataset.theme) dark = document.documentElement.dataset.theme === "dark";
    node.dataset.fkTheme = dark ? "dark" : "light";
  };
  const watcher = new MutationObserver(apply);
  watcher.observe(body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
  watcher.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  system.addEventListener("change", apply, { signal });
  signal?.addEventListener("abort", () => watcher.disconnect());
  apply();
}

/**
 * Call `draw` now and whenever one of these traits changes, until the signal aborts.
 * @template {Shared} T
 * @param {Model<T>} model
 * @param {(keyof T & string)[]} names
 * @param {() => void} draw
 * @param {Signal} signal
 */
export function watch(model, names, draw, signal) {
  for (const name of names) model.on(`change:${name}`, draw);
  signal?.addEventListener("abort", () => names.forEach((name) => model.off(`change:${name}`, draw)));
  draw();
}

/**
 * The line that says what went wrong, empty when nothing did; read out at once.
 * @param {Model} model
 * @param {Signal} signal
 */
export function problemLine(model, signal) {
  const line = el("p", { class: "fk-problem", role: "alert" });
  watch(model, ["problem", "language"], () => {
    const problem = model.get("problem") ?? {};
    line.textContent = problem.key ? say(model, problem.key, problem.values) : "";
    line.lang = problem.key === "error.said" ? "en" : languageOf(model); // what Python says is in English
    const reference = problem.values?.reference;
    if (reference) line.append(" ", el("small", { lang: languageOf(model) }, say(model, "common.reference", { reference })));
    line.hidden = !problem.key;
  }, signal);
  return line;
}

/**
 * What is said in the model's language: `tell(node, key, values, attribute)` says it now and after each change of it.
 * @param {Model} model
 * @param {Signal} signal
 * @returns {Tell}
 */
export function translator(model, signal) {
  /** @type {Map<Element, Map<string, [key: string, values: Values]>>} */
  const said = new Map();
  /** @type {(node: Element, attribute: string, key: string, values: Values) => void} */
  const write = (node, attribute, key, values) => {
    const text = key ? say(model, key, values) : "";
    if (attribute) node.setAttribute(attribute, text);
    else if (node.textContent !== text) node.textContent = text;
  };
  watch(model, ["language"], () => {
    for (const [node, attributes] of said) for (const [attribute, what] of attributes) write(node, attribute, ...what);
  }, signal);
  return (node, key, values = {}, attribute = "") => {
    const attributes = said.get(node) ?? new Map();
    said.set(node, attributes.set(attribute, [key, values]));
    write(node, attribute, key, values);
    return node;
  };
}

/**
 * The frame of a widget: in the host's theme, in the model's language, and with the keyboard for itself.
 * @param {Model} model
 * @param {HTMLElement} host
 * @param {Signal} signal
 * @param {string} name
 */
export function frame(model, host, signal, name) {
  const root = el("div", { class: `fk fk-${name}`, "data-lm-suppress-shortcuts": "true" });
  followTheme(root, signal);
  watch(model, ["language"], () => (root.lang = languageOf(model)), signal);
  host.append(root);
  return root;
}
