// Photos into the library: a folder, how far it is, what came of it.
import { el, frame, languageOf, problemLine, say, translator, watch } from "./shared.js";

const KEYS = { "data-lm-suppress-shortcuts": "true" };
const LOOK_MILLISECONDS = 5000; // workers say every 5 s that they are there
const LINES = /** @type {const} */ (["ingested", "unchanged", "duplicates", "faces", "no_face", "missing"]);

/** @import { IngestForm, Model, Report, View } from "./types" */

/**
 * Seconds in words: "40 sec", "3 min", "2 hr", in the model's language.
 * @param {Model} model
 * @param {number} seconds
 */
function duration(model, seconds) {
  const [unit, size] = seconds < 90 ? ["second", 1] : seconds < 5400 ? ["minute", 60] : ["hour", 3600];
  const format = new Intl.NumberFormat(languageOf(model), { style: "unit", unit, maximumFractionDigits: unit === "hour" || seconds < 10 ? 1 : 0 });
  return format.format(seconds / size);
}

/** @param {View<IngestForm>} view */
function render({ model, el: host, signal }) {
  const root = frame(model, host, signal, "ingestform");
  const tell = translator(model, signal);
  const id = `fk-${Math.random().toString(36).slice(2)}`;

  const path = el("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...KEYS,
    "aria-describedby": id, oninput: () => { model.set("path", path.value); model.save_changes(); } });
  const start = tell(el("button", { type: "submit", class: "fk-primary", "aria-describedby": id, ...KEYS }), "ingestform.start");
  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    if (!start.disabled) model.send({ kind: "start", path: path.value });
  } }, el("label", { class: "fk-field" }, tell(el("span"), "ingestform.path"), path), start,
  tell(el("p", { class: "fk-muted", id }), "ingestform.hint"));

  const bar = tell(el("progress"), "ingestform.progress", {}, "aria-label");
  const text = el("p", { class: "fk-progress-text" });
  const cancel = el("button", { type: "button", ...KEYS, onclick: () => model.send({ kind: "cancel" }) });
  const run = el("div", { class: "fk-run" }, el("div", { class: "fk-track" }, bar, text), cancel);
  const news = el("p", { class: "fk-hidden", role: "status" }); // start and end are read out, not each step
  const report = el("div", { class: "fk-report" });
  const line = el("p", { class: "fk-muted" });
  const again = tell(el("button", { type: "button", ...KEYS, onclick: () => model.send({ kind: "again" }) }), "ingestform.again");
  const givenUp = el("div");
  const work = el("div", { class: "fk-work" }, line, givenUp, again);
  root.append(form, problemLine(model, signal), run, work, news, report);

  const drawForm = () => {
    if (path.value !== model.get("path")) path.value = model.get("path");
    start.disabled = model.get("running") || !model.get("path").trim();
  };
  const drawRun = () => {
    const running = model.get("running");
    if (!running && run.contains(root.ownerDocument.activeElement)) path.focus(); // the button goes with its focus
    run.hidden = !running;
    const stopping = model.get("stopping");
    tell(cancel, stopping ? "ingestform.stopping" : "ingestform.cancel");
    cancel.disabled = stopping;
    const { done, total, rate, left } = model.get("progress");
    if (total) [bar.max, bar.value] = [total, done];
    else bar.removeAttribute("value");
    const parts = total ? [say(model, "ingestform.of", { done, count: total })] : [say(model, "ingestform.listing")];
    if (rate) parts.push(say(model, "ingestform.rate", { rate: Math.round(rate * 10) / 10 }));
    if (left && done < total) parts.push(say(model, "ingestform.left", { time: duration(model, left) }));
    text.textContent = parts.join(" · ");
  };
  const drawReport = () => {
    const found = model.get("report");
    const shown = found.found !== undefined;
    report.hidden = !shown;
    tell(news, model.get("running") ? "ingestform.running" : !shown ? "" : found.stopped ? "ingestform.stopped" : "ingestform.done",
      { time: duration(model, found.seconds ?? 0) });
    if (!shown) return report.replaceChildren();
    const lines = LINES.filter((name) => found[name] || name === "ingested");
    const nothing = found.found ? [] : [el("p", {}, say(model, "ingestform.nothing"))];
    report.replaceChildren(
      el("h2", {}, say(model, found.stopped ? "ingestform.stopped" : "ingestform.done", { time: duration(model, found.seconds) })),
      ...nothing,
      el("ul", { class: "fk-numbers" }, ...lines.map((name) => el("li", {}, say(model, `ingestform.${name}`, { count: found[name] })))),
      ...(found.skipped ? [el("p", {}, say(model, "ingestform.skipped", { count: found.skipped }),
        ...(found.kept_out ? [" ", say(model, "ingestform.kept_out", { count: found.kept_out })] : []))] : []),
      ...(found.names_lost ?? []).map(({ name, faces, path }) =>
        el("p", { class: "fk-warning" }, say(model, "ingestform.names_lost", { name, count: faces, path }))),
      ...found.warnings.map((warning) => el("p", { class: "fk-warning" }, say(model, "ingestform.warning"), " ", el("span", { lang: "en" }, warning))),
      ...(found.stopped ? [el("p", {}, say(model, "ingestform.kept"))] : []),
      ...failures(found));
  };
  /**
   * Files, and why each of them could not be read.
   * @param {string} caption
   * @param {[string, Node[]][]} rows
   */
  const table = (caption, rows) => {
    const head = ["file", "why"].map((name) => el("th", { scope: "col" }, say(model, `ingestform.${name}`)));
    const body = rows.map(([file, why]) => el("tr", {}, el("td", {}, file), el("td", {}, ...why)));
    return el("div", { class: "fk-scroll", tabindex: "0", role: "region", "aria-label": caption, ...KEYS },
      el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body)));
  };
  /** @param {Report} report */
  const failures = ({ failures: count, failed }) => {
    if (!count) return [];
    const more = count - failed.length;
    return [
      table(say(model, "ingestform.failures", { count }), failed.map((one) => [one.path,
        [el("strong", {}, say(model, `ingestform.status.${one.status}`)), el("br"), el("span", { lang: "en" }, one.reason)]])),
      ...(more > 0 ? [el("p", { class: "fk-muted" }, say(model, "ingestform.more", { count: more }))] : []),
    ];
  };
  let drawn = "";
  const drawWork = () => {
    const { workers = 0, queued = 0, running = 0, dead = 0, index_due: due = 0, minutes = 0, given_up: rows = [] } = model.get("work");
    work.hidden = !(workers || queued || running || dead || due || rows.length);
    if (work.hidden && work.contains(root.ownerDocument.activeElement)) path.focus();
    const numbers = Object.entries({ workers, waiting: queued, reading: running, given_up: dead, unindexed: due })
      .filter(([name, count]) => count || name === "workers")
      .map(([name, count]) => say(model, `ingestform.${name}`, { count }));
    if (minutes) numbers.push(say(model, "ingestform.oldest", { time: duration(model, minutes * 60) }));
    line.textContent = numbers.join(" · ");
    again.hidden = !rows.length;
    const now = JSON.stringify([rows, languageOf(model)]);
    if (now === drawn) return; // a list that somebody reads stays where it is
    drawn = now;
    const caption = say(model, "ingestform.given_up_table");
    givenUp.replaceChildren(...(rows.length ? [table(caption, rows.map((one) => [
      one.path || say(model, "ingestform.all_of_it"), [el("span", { lang: "en" }, one.problem)]]))] : []));
  };
  const look = () => {
    const seen = !root.ownerDocument.hidden && root.getClientRects().length > 0;
    if (seen && model.get("work").workers !== undefined) model.send({ kind: "look" });
  };
  const looking = setInterval(look, LOOK_MILLISECONDS);
  signal?.addEventListener("abort", () => clearInterval(looking));
  watch(model, ["path", "running"], drawForm, signal);
  watch(model, ["work", "language"], drawWork, signal);
  watch(model, ["running", "stopping", "progress", "language"], drawRun, signal);
  watch(model, ["report", "running", "language"], drawReport, signal);
}

export default { render };
