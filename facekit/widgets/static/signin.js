// Name and password. They travel in a message, once, and are nowhere in the widget's state. What is kept here is a key
// made up in this tab, under which the app's kernels keep the session; no token ever comes to the page.
import { el, frame, problemLine, recall, remember, translator, watch } from "./shared.js";

const KEYS = { "data-lm-suppress-shortcuts": "true" };
const KEPT = "fk-session"; // in sessionStorage: gone when the tab is closed
const DEVICE = "fk-device"; // in localStorage: opens nothing, and shows that somebody was let in here before
const RETRY = 300; // ms: a page that is loaded again may still be letting go

let session = ""; // the lock that this page holds, and what lets go of it
let release = () => {};

/** A key that nobody can guess. */
function madeUp() {
  return [...crypto.getRandomValues(new Uint8Array(32))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Have a key's session for this page alone, as long as it is open; false where another tab has it.
 * @param {string} key
 * @returns {Promise<boolean>}
 */
function own(key) {
  const name = `fk-${key}`;
  if (!navigator.locks || name === session) return Promise.resolve(true);
  return new Promise((done) => {
    navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      done(Boolean(lock));
      if (!lock) return null;
      release();
      session = name;
      return /** @type {Promise<void>} */ (new Promise((free) => (release = free)));
    }).catch(() => done(true)); // locks are forbidden
  });
}

function disown() {
  release();
  session = "";
}

/**
 * Go on with the session that this tab had; a duplicated tab has a copy of another's key, which counts once only.
 * @param {import("./types").Model<import("./types").SignIn>} model
 * @param {import("./types").Signal} signal
 */
async function resume(model, signal) {
  for (const wait of [0, RETRY]) {
    if (wait) await new Promise((done) => setTimeout(done, wait));
    const kept = recall("sessionStorage", KEPT);
    if (!kept || signal?.aborted) return;
    if (await own(kept)) {
      model.send({ kind: "resume", key: kept });
      return;
    }
  }
  remember("sessionStorage", KEPT, null);
}

/** @param {import("./types").View<import("./types").SignIn>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "signin");
  const tell = translator(model, signal);
  let asked = false; // with name and password, here
  let entered = false; // and they were right
  let key = ""; // of the session that was asked for
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
  /** @type {(key: string, input: HTMLElement, ...more: import("./types").Child[]) => HTMLElement} */
  const field = (key, input, ...more) => el("div", { class: "fk-field" },
    el("label", {}, tell(el("span"), `signin.${key}`), input), ...more);
  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    if (model.get("busy")) return;
    asked = true;
    key = madeUp();
    const device = recall("localStorage", DEVICE) ?? madeUp();
    remember("localStorage", DEVICE, device);
    model.send({ kind: "sign_in", name: name.value, password: password.value, key, device });
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
    if (busy || !entered) return;
    asked = entered = false;
    requestAnimationFrame(() => { // this form is gone
      /** @type {HTMLElement | null} */
      const first = document.querySelector(".fk-appbar.fk-full nav button");
      first?.focus();
    });
  }, signal);

  /** @param {{ kind: string } | undefined} content */
  const hear = (content) => {
    if (content?.kind === "entered") {
      if (asked) {
        remember("sessionStorage", KEPT, key);
        own(key);
      }
      entered = asked;
    }
    if (content?.kind === "forget") {
      remember("sessionStorage", KEPT, null);
      disown();
      (name.value ? password : name).focus();
    }
  };
  model.on("msg:custom", hear);
  signal?.addEventListener("abort", () => model.off("msg:custom", hear));
  resume(model, signal);
}

export default { render };
