// Connected places: cards with their state, a form to connect another, and how far a sync is.
import { el, frame, languageOf, problemLine, say, translator, watch } from "./shared.js";

const KEYS = { "data-lm-suppress-shortcuts": "true" };
const LOOK_MILLISECONDS = 15000;
const COUNTS = /** @type {const} */ (["ingested", "duplicates", "faces", "missing"]);

/** @import { Model, SourceKind, SourcePlace, SourceQuestion, SourcesForm, View } from "./types" */

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
  /** @param {string} words @param {() => void} act @param {string} [style] */
  const signIn = (words, act, style = "") => tell(el("button", { type: "button", class: style || null, ...KEYS, onclick: act }), "sourcesform.sign_in_with", { kind: words });
  /** Of a setting: its name in words, or a hint. @param {string} what @param {string} kind @param {string} key @param {string} message */
  const ofSetting = (what, kind, key, message) => say(model, `sourcesform.${what}.${kind}.${key}`, { message });

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
  /** @param {boolean} signs whether the user signs in, instead of giving a token */
  const ask = (signs) => {
    /** @type {Record<string, string>} */
    const settings = {};
    for (const input of more.querySelectorAll("input")) settings[input.name] = input.value;
    model.send({ kind: "connect", place: address.value.trim() || choice.value, settings, token: signs ? "" : token.value, as: name.value, sign_in: signs });
    token.value = ""; // it is not kept here
  };
  const signing = el("div", { class: "fk-signing" });
  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    if (!connect.disabled) ask(false);
  } },
  el("label", { class: "fk-field fk-wide" }, tell(el("span"), "sourcesform.address"), tell(address, "sourcesform.example", {}, "placeholder")),
  el("label", { class: "fk-field fk-wide" }, tell(el("span"), "sourcesform.kind"), choice), known,
  more, tokenField, el("label", { class: "fk-field" }, tell(el("span"), "sourcesform.name"), name),
  el("div", { class: "fk-actions" }, signing, connect));
  const add = el("details", { class: "fk-add" }, tell(el("summary"), "sourcesform.add"), form);
  const empty = tell(el("p", { class: "fk-muted" }), "sourcesform.empty");
  const cards = el("div", { class: "fk-cards" });
  const entering = el("div", { class: "fk-entering" });
  const news = el("p", { class: "fk-hidden", role: "status" });
  root.append(problemLine(model, signal), empty, entering, cards, add, news);

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
    known.hidden = !known.textContent;
    tokenField.hidden = !kind || kind.token === "none";
    const wanted = kind && !typed ? Object.entries(kind.settings) : [];
    const now = JSON.stringify([kind?.name, typed, languageOf(model), kind?.sign_in]);
    if (now !== shownSettings) {
      shownSettings = now;
      more.replaceChildren(...wanted.map(([key, words]) => el("label", { class: "fk-field" }, el("span", {}, ofSetting("setting", kind?.name ?? "", key, key)),
        el("input", { type: "text", name: key, autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...KEYS }),
        el("small", { class: "fk-muted" }, ofSetting("hint", kind?.name ?? "", key, words)))));
      signing.replaceChildren(...(kind?.sign_in ? [signIn(kind.words, () => ask(true), kind.needs_token ? "fk-primary" : "")] : []));
    }
    const needed = Boolean(kind?.needs_token);
    tell(tokenName, kind?.sign_in ? "sourcesform.token_instead" : needed ? "sourcesform.token" : "sourcesform.token_optional");
    connect.disabled = !kind || (needed && !token.value.trim());
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
      const kind = kindOf(place);
      const given = el("input", { type: "password", autocomplete: "off", ...KEYS });
      const page = kind?.sign_in ? [signIn(kind.words, () => { turn(place, ""); model.send({ kind: "sign_in", name: place.name }); }, "fk-primary")] : [];
      return [el("form", { class: "fk-ask", onsubmit: (event) => {
        event.preventDefault();
        if (given.value.trim()) model.send({ kind: "reconnect", name: place.name, token: given.value });
        turn(place, "");
      } }, ...page, el("label", { class: "fk-field fk-wide" }, el("span", {}, say(model, page.length ? "sourcesform.token_instead" : "sourcesform.token")), given),
      tell(el("button", { type: "submit", class: page.length ? null : "fk-primary", ...KEYS }), "sourcesform.use_token"), button("back", () => turn(place, "")))];
    }
    const { name: checked, steps } = model.get("steps");
    if (open[place.name] !== "steps" || checked !== place.name) return [];
    return [el("ul", { class: "fk-steps" }, ...(steps?.length ? steps.map((step) =>
      el("li", { class: step.works ? "fk-good" : "fk-bad" }, el("strong", { lang: "en" }, `${step.works ? "✓" : "✗"} ${step.step}`), el("span", { lang: "en" }, step.found)))
      : [el("li", {}, say(model, "sourcesform.checking"))])), button("close", () => turn(place, ""), "fk-quiet")];
  };
  /** What only the user can do. @param {SourceQuestion} question */
  const asking = (question) => {
    const answer = el("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...KEYS });
    /** @param {string} href @param {string} key @param {string} style */
    const link = (href, key, style) => el("p", {}, el("a", { href, class: style, target: "_blank", rel: "noopener noreferrer" }, say(model, `sourcesform.${key}`)));
    return el("form", { class: "fk-ask", onsubmit: (event) => {
      event.preventDefault();
      model.send({ kind: "answer", answer: answer.value });
    } }, el("p", { lang: "en" }, question.text),
    question.link && isLink(question.link) ? link(question.link, "open", "fk-button") : null,
    question.image?.startsWith("data:image/") ? el("img", { src: question.image, alt: say(model, "sourcesform.picture_alt") })
      : question.image && isLink(question.image) ? link(question.image, "picture", "fk-button") : null,
    ...(question.answer ? [el("label", { class: "fk-field" }, el("span", {}, say(model, "sourcesform.answer")), answer),
      tell(el("button", { type: "submit", class: "fk-primary", ...KEYS }), "sourcesform.send")] : []));
  };
  /** @param {SourcePlace} place */
  const running = (place) => {
    const now = model.get("syncing");
    if (now.name !== place.name) return [];
    const bar = tell(el("progress"), "sourcesform.progress", {}, "aria-label");
    if (now.total) [bar.max, bar.value] = [now.total, now.done];
    const stop = button(now.stopping ? "stopping" : "cancel", () => model.send({ kind: "cancel" }));
    stop.disabled = Boolean(now.stopping);
    const line = now.total ? say(model, "sourcesform.of", { done: now.done, count: now.total }) + (now.bytes ? ` · ${size(model, now.bytes)}` : "")
      : say(model, "sourcesform.listing");
    /** @type {HTMLElement[]} */
    const parts = [el("div", { class: "fk-run" }, el("div", { class: "fk-track" }, bar, el("p", {}, line)), stop)];
    if (now.question) parts.push(asking(now.question));
    return parts;
  };
  /** That somebody is signing in. */
  const enters = () => {
    const now = model.get("signing");
    const stop = button(now.stopping ? "stopping" : "cancel", () => model.send({ kind: "cancel_sign_in" }));
    stop.disabled = Boolean(now.stopping);
    return [el("div", { class: "fk-enter" }, el("p", {}, el("strong", {}, say(model, "sourcesform.sign_in_with", { kind: now.words }))),
      ...(now.question ? [asking(now.question)] : [el("p", {}, say(model, "sourcesform.preparing"))]),
      ...(now.question && !now.question.answer ? [el("p", { class: "fk-muted" }, say(model, "sourcesform.by_itself"))] : []), stop)];
  };
  /** @param {string} text @param {string} at */
  const trouble = (text, at) => el("p", { class: "fk-warning" }, el("span", { lang: "en" }, text.trim()), at);
  /** @param {SourcePlace} place */
  const kindOf = (place) => model.get("kinds").find((kind) => kind.name === place.kind);
  /** @param {SourcePlace} place */
  const cameOf = (place) => {
    const done = model.get("done");
    if (done.name !== place.name) return [];
    const lines = COUNTS.filter((key) => done[key] || key === "ingested").map((key) => say(model, `sourcesform.${key}`, { count: done[key] }));
    const why = done.problem && !place.problem ? [trouble(`${done.problem} ${done.remedy ?? ""}`, "")]
      : done.stopped ? [el("p", { class: "fk-muted" }, say(model, "sourcesform.was_stopped"))] : [];
    return [el("p", { class: "fk-came" }, lines.join(" · ")), ...why, ...(done.failures ? [el("details", {}, el("summary", {}, say(model, "sourcesform.failures", { count: done.failures })),
      el("ul", {}, ...done.failed.map((reason) => el("li", { lang: "en" }, reason))))] : [])];
  };
  /** @param {SourcePlace} place */
  const card = (place) => {
    const busy = Boolean(model.get("syncing").name);
    const mine = model.get("syncing").name === place.name;
    const state = mine ? "syncing" : place.state;
    const at = place.resume_at && place.resume_at > Date.now() ? ` ${say(model, "sourcesform.resumes", { when: when(model, place.resume_at) })}` : "";
    const wanted = place.state === "sign-in";
    const sync = button("sync", () => model.send({ kind: "sync", name: place.name }), wanted ? "" : "fk-primary");
    sync.disabled = busy || place.state === "paused" || place.state === "syncing";
    const kind = kindOf(place);
    const enter = wanted || (kind?.token !== "none" && !mine)
      ? [button(wanted ? "sign_in" : "enter", () => turn(place, "token"), wanted ? "fk-primary" : "fk-quiet")] : [];
    const where = isLink(place.place) ? el("a", { href: place.place, target: "_blank", rel: "noopener noreferrer" }, place.place) : place.place;
    const entered = model.get("signing").name === place.name ? enters() : [];
    return el("section", { class: "fk-card", "aria-label": place.name, "data-state": state },
      el("header", {}, el("h2", {}, place.name), el("span", { class: `fk-state fk-${state}` }, say(model, `sourcesform.state.${state}`))),
      el("p", { class: "fk-muted" }, place.words, ...(place.place === place.words ? [] : [" · ", where])),
      el("p", {}, say(model, "common.photos", { count: place.photos }), place.bytes ? ` · ${size(model, place.bytes)}` : "", " · ",
        place.synced_at ? say(model, "sourcesform.synced", { when: when(model, place.synced_at) }) : say(model, "sourcesform.never")),
      ...(place.problem && !mine ? [trouble(`${place.problem} ${place.remedy ?? ""}`, at)] : []),
      ...running(place), ...(mine ? [] : cameOf(place)), ...entered,
      el("div", { class: "fk-actions" }, ...(wanted ? enter : []), ...(mine ? [] : [sync,
        button(place.state === "paused" ? "resume" : "pause", () => model.send({ kind: "pause", name: place.name, paused: place.state !== "paused" }), "fk-quiet"),
        button("check", () => { open[place.name] = "steps"; model.send({ kind: "check", name: place.name }); draw(); }, "fk-quiet")]),
      ...(wanted ? [] : enter),
      ...(mine ? [] : [button("remove", () => turn(place, "remove"), "fk-quiet")])),
      ...asked(place));
  };
  let drawn = "";
  const draw = () => {
    const now = JSON.stringify([model.get("places"), model.get("syncing"), model.get("done"), model.get("steps"), model.get("signing"), model.get("kinds"), languageOf(model), open]);
    if (now === drawn) return;
    drawn = now;
    const active = root.ownerDocument.activeElement;
    const held = active && cards.contains(active) ? { card: active.closest("section")?.getAttribute("aria-label"), text: active.textContent, type: active.tagName } : null;
    const typed = active instanceof HTMLInputElement && cards.contains(active) ? active.value : "";
    empty.hidden = model.get("places").length > 0;
    if (!model.get("places").length) add.open = true;
    const places = model.get("places");
    cards.replaceChildren(...places.map(card));
    const entered = model.get("signing");
    entering.replaceChildren(...(entered.words && !places.some((place) => place.name === entered.name) ? enters() : []));
    add.hidden = entering.childElementCount > 0;
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
  watch(model, ["places", "syncing", "done", "steps", "signing", "kinds", "language"], draw, signal);
}

export default { render };
