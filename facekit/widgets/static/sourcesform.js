// Connected places: cards with their state, a form to connect another, and how far a sync is.
import { el, frame, languageOf, problemLine, say, translator, watch } from "./shared.js";

const KEYS = { "data-lm-suppress-shortcuts": "true" };
const LOOK_MILLISECONDS = 15000;
const COUNTS = /** @type {const} */ (["ingested", "duplicates", "faces", "missing"]);

/** @import { Model, SourceKind, SourcePlace, SourcesForm, View } from "./types" */

/**
 * A size in words: "3.4 MB".
 * @param {Model} model
 * @param {number} bytes
 */
function size(model, bytes) {
  const [unit, scale] = bytes < 1e6 ? ["kilobyte", 1e3] : bytes < 1e9 ? ["megabyte", 1e6] : ["gigabyte", 1e9];
  return new Intl.NumberFormat(languageOf(model), { style: "unit", unit, maximumFractionDigits: 1 }).format(bytes / scale);
}

/**
 * How long ago, or in how long: "2 hours ago".
 * @param {Model} model
 * @param {number} moment milliseconds since 1970
 */
function when(model, moment) {
  const seconds = (moment - Date.now()) / 1000;
  const [unit, length] = /** @type {[Intl.RelativeTimeFormatUnit, number]} */ (
    Math.abs(seconds) < 90 ? ["second", 1] : Math.abs(seconds) < 5400 ? ["minute", 60] : Math.abs(seconds) < 129600 ? ["hour", 3600] : ["day", 86400]);
  return new Intl.RelativeTimeFormat(languageOf(model), { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

/** @param {string | null} address */
function isLink(address) {
  return /^https?:\/\//.test(address ?? "");
}

/** @param {View<SourcesForm>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "sourcesform");
  const tell = translator(model, signal);
  /** @param {string} key @param {() => void} act @param {string} [style] */
  const button = (key, act, style = "") => tell(el("button", { type: "button", class: style || null, ...KEYS, onclick: act }), `sourcesform.${key}`);

  // -- connecting another one
  const address = el("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...KEYS,
    oninput: () => { model.send({ kind: "address", text: address.value }); drawForm(); } });
  const choice = el("select", { ...KEYS, onchange: () => drawForm() });
  const token = el("input", { type: "password", autocomplete: "off", ...KEYS, oninput: () => drawForm() });
  const name = el("input", { type: "text", autocomplete: "off", spellcheck: "false", ...KEYS });
  const more = el("div", { class: "fk-settings" });
  const known = el("p", { class: "fk-muted", role: "status" });
  const connect = tell(el("button", { type: "submit", class: "fk-primary", ...KEYS }), "sourcesform.connect");
  const tokenName = el("span");
  const tokenField = el("label", { class: "fk-field" }, tokenName, token);
  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    if (connect.disabled) return;
    /** @type {Record<string, string>} */
    const settings = {};
    for (const input of more.querySelectorAll("input")) settings[input.name] = input.value;
    model.send({ kind: "connect", place: address.value.trim() || choice.value, settings, token: token.value, as: name.value });
    token.value = ""; // it is not kept here
  } },
  el("label", { class: "fk-field fk-wide" }, tell(el("span"), "sourcesform.address"), tell(address, "sourcesform.example", {}, "placeholder")),
  el("label", { class: "fk-field" }, tell(el("span"), "sourcesform.kind"), choice),
  more, tokenField, el("label", { class: "fk-field" }, tell(el("span"), "sourcesform.name"), name), connect, known);
  const add = el("details", { class: "fk-add" }, tell(el("summary"), "sourcesform.add"), form);
  const empty = tell(el("p", { class: "fk-muted" }), "sourcesform.empty");
  const cards = el("div", { class: "fk-cards" });
  const news = el("p", { class: "fk-hidden", role: "status" });
  root.append(problemLine(model, signal), empty, cards, add, news);

  /** @returns {SourceKind | undefined} */
  const chosenKind = () => {
    const wanted = address.value.trim() ? model.get("address").kind : choice.value;
    return model.get("kinds").find((kind) => kind.name === wanted);
  };
  let shownSettings = "";
  const drawForm = () => {
    const kind = chosenKind();
    const typed = Boolean(address.value.trim());
    choice.disabled = typed;
    if (typed && kind) choice.value = kind.name;
    known.textContent = !typed ? "" : kind ? say(model, "sourcesform.is", { kind: kind.words })
      : model.get("address").text === address.value ? say(model, "sourcesform.unknown") : "";
    tokenField.hidden = !kind;
    const wanted = kind && !typed ? Object.entries(kind.settings) : [];
    const now = JSON.stringify([kind?.name, typed]);
    if (now !== shownSettings) {
      shownSettings = now;
      more.replaceChildren(...wanted.map(([key, words]) => el("label", { class: "fk-field" }, el("span", {}, key),
        el("input", { type: "text", name: key, autocomplete: "off", ...KEYS }), el("small", { class: "fk-muted", lang: "en" }, words))));
    }
    tell(tokenName, kind?.needs_token ? "sourcesform.token" : "sourcesform.token_optional");
    connect.disabled = !kind || (kind.needs_token && !token.value.trim());
  };
  const drawKinds = () => {
    const before = choice.value;
    choice.replaceChildren(el("option", { value: "" }, say(model, "sourcesform.choose")),
      ...model.get("kinds").map((kind) => el("option", { value: kind.name }, kind.words)));
    choice.value = before;
    drawForm();
  };

  // -- the cards
  /** What of a card is open: a question how to disconnect, a field for a token. @type {Record<string, string>} */
  const open = {};
  /** @param {SourcePlace} place @param {string} what */
  const turn = (place, what) => {
    open[place.name] = open[place.name] === what ? "" : what;
    draw();
  };
  /** @param {SourcePlace} place */
  const asked = (place) => {
    if (open[place.name] === "remove") {
      return [el("div", { class: "fk-ask", role: "group" }, el("p", {}, say(model, "sourcesform.remove_question", { name: place.name })),
        button("remove_keep", () => model.send({ kind: "remove", name: place.name, forget: false })),
        button("remove_forget", () => model.send({ kind: "remove", name: place.name, forget: true }), "fk-danger"),
        button("back", () => turn(place, "")))];
    }
    if (open[place.name] === "token") {
      const given = el("input", { type: "password", autocomplete: "off", ...KEYS });
      return [el("form", { class: "fk-ask", onsubmit: (event) => {
        event.preventDefault();
        if (given.value.trim()) model.send({ kind: "reconnect", name: place.name, token: given.value });
        turn(place, "");
      } }, el("label", { class: "fk-field" }, el("span", {}, say(model, "sourcesform.token")), given),
      tell(el("button", { type: "submit", class: "fk-primary", ...KEYS }), "sourcesform.sign_in"))];
    }
    const { name: checked, steps } = model.get("steps");
    if (open[place.name] !== "steps" || checked !== place.name) return [];
    return [el("ul", { class: "fk-steps" }, ...(steps?.length ? steps.map((step) =>
      el("li", { class: step.works ? "fk-good" : "fk-bad" }, el("strong", { lang: "en" }, `${step.works ? "✓" : "✗"} ${step.step}`), el("br"), el("span", { lang: "en" }, step.found)))
      : [el("li", {}, say(model, "sourcesform.checking"))]))];
  };
  /** @param {SourcePlace} place */
  const running = (place) => {
    const now = model.get("syncing");
    if (now.name !== place.name) return [];
    const bar = tell(el("progress"), "sourcesform.progress", {}, "aria-label");
    if (now.total) [bar.max, bar.value] = [now.total, now.done];
    const stop = button(now.stopping ? "stopping" : "cancel", () => model.send({ kind: "cancel" }));
    stop.disabled = now.stopping;
    const line = now.total ? say(model, "sourcesform.of", { done: now.done, count: now.total }) : say(model, "sourcesform.listing");
    /** @type {HTMLElement[]} */
    const parts = [el("div", { class: "fk-run" }, el("div", { class: "fk-track" }, bar, el("p", {}, line)), stop)];
    const question = now.question;
    if (question) {
      const answer = el("input", { type: "text", autocomplete: "off", ...KEYS });
      parts.push(el("form", { class: "fk-ask", onsubmit: (event) => {
        event.preventDefault();
        model.send({ kind: "answer", answer: answer.value });
      } }, el("p", { lang: "en" }, question.text),
      question.link && isLink(question.link) ? el("p", {}, el("a", { href: question.link, target: "_blank", rel: "noopener noreferrer" }, say(model, "sourcesform.open"))) : null,
      question.image?.startsWith("data:image/") ? el("img", { src: question.image, alt: "" })
        : isLink(question.image) ? el("p", {}, el("a", { href: question.image ?? "", target: "_blank", rel: "noopener noreferrer" }, say(model, "sourcesform.picture"))) : null,
      ...(question.answer ? [el("label", { class: "fk-field" }, el("span", {}, say(model, "sourcesform.answer")), answer),
        tell(el("button", { type: "submit", class: "fk-primary", ...KEYS }), "sourcesform.send")] : [])));
    }
    return parts;
  };
  /** @param {SourcePlace} place */
  const cameOf = (place) => {
    const done = model.get("done");
    if (done.name !== place.name) return [];
    const lines = COUNTS.filter((key) => done[key] || key === "ingested").map((key) => say(model, `sourcesform.${key}`, { count: done[key] }));
    return [el("p", {}, lines.join(" · ")), ...(done.failures ? [el("details", {}, el("summary", {}, say(model, "sourcesform.failures", { count: done.failures })),
      el("ul", {}, ...done.failed.map((reason) => el("li", { lang: "en" }, reason))))] : [])];
  };
  /** @param {SourcePlace} place */
  const card = (place) => {
    const busy = Boolean(model.get("syncing").name);
    const mine = model.get("syncing").name === place.name;
    const state = mine ? "syncing" : place.state;
    const at = place.resume_at && place.resume_at > Date.now() ? ` ${say(model, "sourcesform.resumes", { when: when(model, place.resume_at) })}` : "";
    const sync = button("sync", () => model.send({ kind: "sync", name: place.name }), "fk-primary");
    sync.disabled = busy || place.state === "paused" || place.state === "syncing";
    return el("section", { class: "fk-card", "aria-label": place.name, "data-state": state },
      el("header", {}, el("h2", {}, place.name), el("span", { class: `fk-state fk-${state}` }, say(model, `sourcesform.state.${state}`))),
      el("p", { class: "fk-muted" }, place.words, " · ", isLink(place.place)
        ? el("a", { href: place.place, target: "_blank", rel: "noopener noreferrer" }, place.place) : place.place),
      el("p", {}, say(model, "common.photos", { count: place.photos }), place.bytes ? ` · ${size(model, place.bytes)}` : "", " · ",
        place.synced_at ? say(model, "sourcesform.synced", { when: when(model, place.synced_at) }) : say(model, "sourcesform.never")),
      ...(place.problem && !mine ? [el("p", { class: "fk-warning" }, el("span", { lang: "en" }, `${place.problem} ${place.remedy ?? ""}`), at)] : []),
      ...running(place), ...(mine ? [] : cameOf(place)),
      el("div", { class: "fk-actions" }, sync,
        button(place.state === "paused" ? "resume" : "pause", () => model.send({ kind: "pause", name: place.name, paused: place.state !== "paused" })),
        button("check", () => { open[place.name] = "steps"; model.send({ kind: "check", name: place.name }); }),
        button("sign_in", () => turn(place, "token"), place.state === "sign-in" ? "fk-primary" : ""),
        button("remove", () => turn(place, "remove"))),
      ...asked(place));
  };
  let drawn = "";
  const draw = () => {
    const now = JSON.stringify([model.get("places"), model.get("syncing"), model.get("done"), model.get("steps"), languageOf(model), open]);
    if (now === drawn) return;
    drawn = now;
    const active = root.ownerDocument.activeElement;
    const held = active && cards.contains(active) ? { card: active.closest("section")?.getAttribute("aria-label"), text: active.textContent, type: active.tagName } : null;
    const typed = active instanceof HTMLInputElement && cards.contains(active) ? active.value : "";
    empty.hidden = model.get("places").length > 0;
    if (!model.get("places").length) add.open = true;
    cards.replaceChildren(...model.get("places").map(card));
    const again = held && [...cards.querySelectorAll(held.type.toLowerCase())].find((one) =>
      one.closest("section")?.getAttribute("aria-label") === held.card && one.textContent === held.text);
    if (again instanceof HTMLElement) again.focus(); // the focus stays where it was
    if (again instanceof HTMLInputElement) again.value = typed;
    const { name: now_, stopping } = model.get("syncing");
    tell(news, now_ ? (stopping ? "sourcesform.stopping" : "sourcesform.state.syncing") : "");
  };
  const looking = setInterval(() => {
    if (!root.ownerDocument.hidden && root.getClientRects().length > 0 && !model.get("syncing").name) model.send({ kind: "look" });
  }, LOOK_MILLISECONDS);
  signal?.addEventListener("abort", () => clearInterval(looking));
  watch(model, ["kinds", "language"], drawKinds, signal);
  watch(model, ["address"], drawForm, signal);
  watch(model, ["connected"], () => {
    for (const input of form.querySelectorAll("input")) input.value = "";
    choice.value = "";
    if (model.get("connected")) add.open = false;
    drawForm();
  }, signal);
  watch(model, ["places", "syncing", "done", "steps", "language"], draw, signal);
}

export default { render };
