// Name and password. They travel in a message, once, and are nowhere in the widget's state.
import { el, frame, problemLine, translator, watch } from "./shared.js";

const KEYS = { "data-lm-suppress-shortcuts": "true" };
const KEPT = "fk-refresh"; // in sessionStorage: gone when the tab is closed

function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "signin");
  const tell = translator(model, signal);
  const name = el("input", { type: "text", name: "username", autocomplete: "username", autocapitalize: "off", spellcheck: "false",
    required: true, ...KEYS });
  const password = el("input", { type: "password", name: "password", autocomplete: "current-password", required: true, ...KEYS });
  const show = el("button", { type: "button", ...KEYS, onclick: () => {
    password.type = password.type === "password" ? "text" : "password";
    drawShow();
  } });
  const drawShow = () => {
    const shown = password.type === "text";
    show.setAttribute("aria-pressed", String(shown));
    tell(show, "signin.show");
    tell(show, "signin.show_long", {}, "aria-label");
  };
  const go = el("button", { type: "submit", class: "fk-primary", ...KEYS });
  const notice = el("p", { class: "fk-problem", role: "alert" });
  const field = (key, input, ...more) => el("div", { class: "fk-field" },
    el("label", {}, tell(el("span"), `signin.${key}`), input), ...more);
  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    if (model.get("busy")) return;
    model.send({ kind: "sign_in", name: name.value, password: password.value });
    password.value = "";
    password.type = "password";
    drawShow();
  } }, tell(el("h2"), "signin.title"), field("name", name), field("password", password, show), notice, go);
  root.append(form, problemLine(model, signal));
  drawShow();

  watch(model, ["busy", "notice"], () => {
    const busy = model.get("busy");
    tell(go, busy ? "signin.busy" : "signin.go");
    go.disabled = busy;
    root.setAttribute("aria-busy", String(busy));
    tell(notice, busy ? "" : model.get("notice"));
    notice.hidden = !notice.textContent;
  }, signal);

  const hear = (content) => {
    if (content?.kind === "token") sessionStorage.setItem(KEPT, content.token);
    if (content?.kind === "forget") {
      sessionStorage.removeItem(KEPT);
      (name.value ? password : name).focus();
    }
  };
  model.on("msg:custom", hear);
  signal?.addEventListener("abort", () => model.off("msg:custom", hear));
  const kept = sessionStorage.getItem(KEPT);
  if (kept) model.send({ kind: "resume", token: kept });
}

export default { render };
