// What the page does before and around the widgets: theme, language, spinner, and saying so when its kernel is gone.
window.page = (() => {
  /** @type {Record<string, Record<"en" | "ru", string>>} */
  const TEXTS = {
    loading: { en: "Opening…", ru: "Открывается…" },
    asleep: { en: "This page went to sleep. Reload to go on.", ru: "Страница уснула. Обновите её, чтобы продолжить." },
    failed: {
      en: "Something went wrong here. Reload the page; if that does not help, tell whoever runs it.",
      ru: "Что-то пошло не так. Обновите страницу; если не поможет, сообщите тому, кто её ведёт.",
    },
    busy: {
      en: "Too many visitors at the moment. Try again in a minute.",
      ru: "Сейчас слишком много посетителей. Попробуйте ещё раз через минуту.",
    },
    missing: { en: "There is no such page.", ru: "Такой страницы нет." },
    home: { en: "To the start", ru: "На главную" },
    reload: { en: "Reload", ru: "Обновить" },
  };
  const CHECK_MS = 10000;
  const RETRY_MS = 3000;
  const SETTLE_MS = 1000; // leaving the page ends its kernel too, and is no news
  const RETRIES = 5; // attempts to reach the server: a phone that wakes up is offline for some seconds

  /** @param {string} key */
  const stored = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is forbidden
    }
  };
  /** @type {(id: string) => HTMLElement} */
  const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  /** @type {(id: string, visible: boolean) => void} */
  const show = (id, visible) => {
    part(id).hidden = !visible;
  };

  /** Speak the visitor's language. */
  function translate() {
    const language = (stored("fk-language") || navigator.language || "en").toLowerCase().startsWith("ru") ? "ru" : "en";
    document.documentElement.lang = language;
    for (const node of document.querySelectorAll("[data-text]")) {
      node.textContent = TEXTS[node.getAttribute("data-text") ?? ""][language];
    }
  }

  /** Take the theme that was chosen in the app, or the system's; widgets read it from the body. */
  function theme() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => {
      document.documentElement.toggleAttribute("data-dark", document.body.dataset.jpThemeLight === "false");
    };
    const choose = () => {
      const dark = (stored("fk-theme") || (system.matches ? "dark" : "light")) === "dark";
      document.body.dataset.jpThemeLight = String(!dark);
      follow();
    };
    choose();
    system.addEventListener("change", choose);
    new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  }

  /** Show that a cell failed, in place of the app. */
  function fail() {
    show("loading", false);
    show("app", false);
    show("failed", true);
  }

  /**
   * Cover the app with the notice that it sleeps, or take that away.
   * @param {boolean} asleep
   */
  function sleep(asleep) {
    show("asleep", asleep);
    part("app").inert = asleep;
  }

  let kernel = "";
  let checking = false;
  /** Ask whether the page's kernel still lives. */
  async function check() {
    if (!kernel || checking || !part("asleep").hidden) return;
    checking = true;
    let status = 0;
    for (let attempt = 0; attempt < RETRIES && !status; attempt += 1) {
      if (attempt) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      status = await fetch(kernel, { cache: "no-store" }).then((answer) => answer.status, () => 0);
    }
    checking = false;
    if (status !== 200) sleep(true);
  }

  let complete = false;
  /** All cells ran; the spinner stays until Voila has drawn something. */
  function executed() {
    complete = true;
    const { baseUrl, kernelId } = JSON.parse(part("jupyter-config-data").textContent);
    kernel = `${baseUrl}api/kernels/${kernelId}`;
    const app = part("app");
    const drawn = () => app.querySelector(".jp-OutputArea-output :is(div, img, p, pre)");
    const done = () => drawn() && (show("loading", false), watcher.disconnect());
    const watcher = new MutationObserver(done);
    watcher.observe(app, { childList: true, subtree: true });
    done();
  }
  addEventListener("load", () => {
    if (document.getElementById("app") && !complete) fail(); // the answer broke off
  });

  // Voila's scripts reach the kernel through a WebSocket and say nothing when it is gone: watch theirs.
  window.WebSocket = class extends WebSocket {
    /** @param {ConstructorParameters<typeof WebSocket>} rest */
    constructor(...rest) {
      super(...rest);
      this.addEventListener("close", () => setTimeout(check, SETTLE_MS));
      this.addEventListener("open", () => sleep(false));
    }
  };
  const checkIfSeen = () => document.hidden || check();
  document.addEventListener("visibilitychange", checkIfSeen);
  setInterval(checkIfSeen, CHECK_MS); // a kernel that dies while the page loads closes nothing

  // The names under which Voila's server and scripts look for them.
  window.voila_heartbeat = () => {};
  window.voila_finish = () => {};
  return { executed, fail, theme, translate };
})();
