// A row of choices; with title, language, theme and sign-out around it where it is the app's bar.
import { el, frame, languageOf, problemLine, recall, remember, say, translator, watch } from "./shared.js";

const KEYS = { "data-lm-suppress-shortcuts": "true" };
/** @type {Record<string, string>} */
const LANGUAGES = { en: "English", ru: "Русский" };
const THEMES = ["auto", "light", "dark"];

/** @param {import("./types").View<import("./types").AppBar>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "appbar");
  const tell = translator(model, signal);
  const nav = el("nav", { class: "fk-choice" });
  const buttons = new Map();
  const drawNames = () => {
    const focused = [...buttons].find(([, button]) => button === root.ownerDocument.activeElement)?.[0];
    buttons.clear();
    for (const name of model.get("names")) {
      const chosen = model.get("chosen") === name;
      const count = model.get("counts")[name];
      const button = el("button", { type: "button", ...KEYS, "aria-current": chosen && (model.get("full") ? "page" : "true"), onclick: () => {
        model.set("chosen", name);
        model.save_changes();
      } }, say(model, `appbar.${name}`));
      if (count !== undefined) button.append(" ", el("span", { class: "fk-number" }, count.toLocaleString(languageOf(model))));
      buttons.set(name, button);
    }
    nav.replaceChildren(...buttons.values());
    buttons.get(focused)?.focus();
    tell(nav, model.get("label"), {}, "aria-label");
  };
  watch(model, ["names", "chosen", "counts", "language"], drawNames, signal);

  if (model.get("full")) {
    root.classList.add("fk-full");
    root.append(tell(el("span", { class: "fk-title" }), "appbar.title"), nav, settings(model, tell, signal), problemLine(model, signal));
    model.send({ kind: "shown" });
  } else {
    root.append(nav, problemLine(model, signal));
  }
}

/**
 * @param {import("./types").Model<import("./types").AppBar>} model
 * @param {import("./types").Tell} tell
 * @param {import("./types").Signal} signal
 */
function settings(model, tell, signal) {
  const ours = "voila" in document.body.dataset; // the app's page; in JupyterLab theme and language are not ours to set
  const language = tell(el("select", { ...KEYS, onchange: () => {
    remember("localStorage", "fk-language", language.value);
    model.set("language", language.value);
    model.save_changes();
  } }, ...Object.entries(LANGUAGES).map(([code, name]) => el("option", { value: code, lang: code }, name))),
  "appbar.language", {}, "aria-label");
  const remembered = recall("localStorage", "fk-language");
  if (remembered !== null && remembered in LANGUAGES && remembered !== model.get("language")) {
    model.set("language", remembered);
    model.save_changes();
  }
  watch(model, ["language"], () => {
    language.value = languageOf(model);
    if (ours) document.documentElement.lang = language.value;
  }, signal);

  const theme = tell(el("select", { ...KEYS, onchange: () => {
    remember("localStorage", "fk-theme", theme.value === "auto" ? null : theme.value);
    applyTheme();
  } }, ...THEMES.map((name) => tell(el("option", { value: name }), `appbar.theme.${name}`))), "appbar.theme", {}, "aria-label");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const applyTheme = () => {
    if (!ours) return;
    const dark = theme.value === "auto" ? system.matches : theme.value === "dark";
    document.body.dataset.jpThemeLight = String(!dark);
  };
  const kept = recall("localStorage", "fk-theme");
  theme.value = THEMES.find((name) => name === kept) ?? "auto";
  theme.hidden = !ours;
  system.addEventListener("change", applyTheme, { signal });
  applyTheme();

  const who = el("span", { class: "fk-who" });
  const leave = tell(el("button", { type: "button", ...KEYS, onclick: () => model.send({ kind: "sign_out" }) }), "appbar.sign_out");
  watch(model, ["user", "role", "language"], () => {
    const user = model.get("user");
    const role = model.get("role");
    who.textContent = role ? `${user} (${say(model, `appbar.role.${role}`)})` : user;
    who.hidden = leave.hidden = !user;
  }, signal);
  return el("div", { class: "fk-settings" }, language, theme, who, leave);
}

export default { render };
