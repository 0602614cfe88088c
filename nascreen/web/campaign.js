// Campaign: what to make next, what came of it, and what the next batch promises.

import { get, getFile, post, postFile } from "./api.js";
import { Chart, logAxis, table } from "./charts.js";
import { announce, failure, fill, h, newId, notice, openDialog, waiting } from "./dom.js";
import { TextField } from "./fields.js";
import { bytesOf, isWorkbook, nameOf, TABLES, XLSX } from "./files.js";
import { NewCampaign } from "./new_campaign.js";
import { conductivity, counted, fixed, formula, num, percent, phaseWord, prose, readNumber, sci, signed, words } from "./format.js";
import { predictLink } from "./records.js";
import { recipeSheet } from "./recipe.js";
import { author, keepAuthor, keepState, linkTo } from "./state.js";

const UNITS = { "S/cm": { "S/cm": 1, "mS/cm": 1e-3, "µS/cm": 1e-6 }, eV: { eV: 1, meV: 1e-3, "kJ/mol": 1 / 96.4853321 }, MPa: { MPa: 1, GPa: 1000 } };
const LOG = "log₁₀";

/** Make the view inside its section. */
export function makeView(section) {
  return new CampaignView(section);
}

const path = (name, rest = "") => `/v1/campaigns/${encodeURIComponent(name)}${rest}`;

class CampaignView {
  constructor(section) {
    this.section = section;
    this.name = "";
    this.chart = new Chart({ title: "Progress", name: "nascreen-progress", height: 300 });
    document.addEventListener("visibilitychange", () => { if (!document.hidden && !section.hidden && this.name && !document.querySelector("dialog")) this.load(); });
  }

  /** Show what an address says: one campaign, or all of them. */
  show(params) {
    const name = params.get("name") || "";
    const isOther = name !== this.name;
    this.name = name;
    keepState("campaign", { name });
    if (name) this.open(isOther);
    else this.list();
  }

  // ------------------------------------------------------------ all of them

  async list() {
    const inside = h("div", {}, waiting("Reading the campaigns …"));
    const byName = new TextField("Open by name", () => {}, { placeholder: "such as nzsp-2027" });
    const open = h("form", { class: "row open-by-name", on: { submit: (event) => { event.preventDefault(); if (byName.value) location.hash = linkTo("campaign", { name: byName.value }); } } },
      byName.node, h("button", { type: "submit" }, "Open"));
    fill(this.section, h("div", { class: "row between head-row" }, h("h1", {}, "Campaigns"),
      h("button", { type: "button", class: "main", on: { click: () => this.newDialog() } }, "New campaign")), inside);
    try {
      const { campaigns } = await get("/v1/campaigns");
      fill(inside, campaigns.length ? [h("div", { class: "panel" }, campaignTable(campaigns))] : emptyList(() => this.newDialog()));
    } catch (error) {
      fill(inside, failure(error, () => this.list()), open);
    }
  }

  async newDialog() {
    const form = new NewCampaign((made) => { dialog.close(); announce(`The campaign ${made.name} is made.`); location.hash = linkTo("campaign", { name: made.name }); });
    const dialog = openDialog("New campaign", form.node, { wide: true, label: "Cancel" });
    form.fields.name.focus();
  }

  // ------------------------------------------------------------ one of them

  open(isOther) {
    if (isOther || !this.board) {
      this.board = h("div", {}, waiting("Reading the campaign …"));
      this.outlook = h("div", { class: "outlook" });
      this.problem = h("div", { class: "problem" });
      this.n = h("input", { type: "text", inputmode: "numeric", id: "ask-n", class: "number", autocomplete: "off" });
      this.n.value = "4";
      this.back = new SheetBack((bytes, kind) => this.giveBack(bytes, kind));
      this.rules = {
        forbid: new TextField("Not these (filter)", () => {}, { class: "code", placeholder: 'such as elements HAS "Ge"', maxlength: "2000" }),
        prefer: new TextField("These as long as there are any (filter)", () => {}, { class: "code", placeholder: "such as sinter_temp_c < 1150", maxlength: "2000" }),
      };
    }
    fill(this.section, h("p", { class: "crumb" }, h("a", { href: "#campaign" }, "All campaigns")),
      h("h1", {}, this.name), this.problem, this.board);
    this.load();
  }

  async load() {
    const { name } = this;
    try {
      const campaign = await get(path(name));
      if (name !== this.name) return;
      this.campaign = campaign;
      fill(this.problem);
      this.draw();
      this.loadOutlook();
    } catch (error) {
      if (name === this.name) fill(this.board, failure(error, () => this.load()));
    }
  }

  async loadOutlook() {
    const { name } = this;
    if (!this.campaign.progress.length) {
      fill(this.outlook, h("p", { class: "muted" }, "What the next batch promises stands here once the first result is told."));
      return;
    }
    const best = this.campaign.progress[this.campaign.progress.length - 1].best;
    const untold = this.campaign.settings.objectives.filter((o) => best[o.property] === undefined).map((o) => propertyName(this.campaign.properties.find((p) => p.name === o.property)));
    if (untold.length) {
      fill(this.outlook, h("p", { class: "muted" }, `What the next batch promises stands here once a result of ${untold.join(" and ")} is told.`));
      return;
    }
    if (!this.outlook.childElementCount) fill(this.outlook, waiting("Looking ahead …"));
    try {
      const { outlook } = await get(path(name, "/outlook"), { n: this.count() || 4 });
      if (name === this.name) fill(this.outlook, outlook.map((one) => h("p", {}, promise(one, this.campaign))));
    } catch (error) {
      if (name === this.name) fill(this.outlook, h("p", { class: "muted" }, error.message));
    }
  }

  count() {
    const value = readNumber(this.n.value);
    return Number.isInteger(value) && value > 0 ? value : null;
  }

  draw() {
    const { campaign } = this;
    const of = (...states) => campaign.experiments.filter((one) => states.includes(one.status));
    const [open, told, failed] = [of("pending"), of("told"), of("failed", "abandoned")];
    fill(this.board,
      h("p", { class: "muted" }, goals(campaign), ` ${counted(campaign.n_candidates, "candidate")}${campaign.settings.space ? ` of ${campaign.settings.space}` : ""}.`),
      h("div", { class: "campaign-top" },
        h("div", { class: "panel" }, this.askForm(open)),
        h("div", { class: "panel" }, h("h2", {}, "Outlook"), this.outlook)),
      h("div", { class: "board" },
        this.column("To make", [...open].reverse(), "Nothing is being made. Ask for a batch."),
        this.column("Told", told, "No result was told yet."),
        this.column("Failed or given back", failed, "Nothing failed.")),
      h("div", { class: "panel" }, this.chart.node),
      h("div", { class: "row exports" }, h("span", { class: "muted" }, "Everything asked and told:"),
        this.saver("CSV", "/export", { format: "csv" }, `${campaign.name}.csv`), this.saver("JSON", "/export", { format: "json" }, `${campaign.name}.json`)));
    this.drawProgress();
  }

  askForm(open) {
    const button = h("button", { type: "submit", class: "main" }, "Ask");
    const printing = h("button", { type: "button", disabled: !open.length, on: { click: () => recipeSheet(this.campaign, open) } }, "Print recipe sheet");
    return h("form", { class: "ask", on: { submit: (event) => { event.preventDefault(); this.ask(button); } } },
      h("h2", {}, "Next batch"),
      h("div", { class: "row" }, h("label", { for: "ask-n" }, "Samples"), this.n, button, printing, this.saver("Sheet to fill in (Excel)", "/sheet", {}, "batch.xlsx", !open.length)),
      h("details", { class: "numbers" }, h("summary", {}, "Rules for this batch"), h("div", { class: "rules" }, this.rules.forbid.node, this.rules.prefer.node)),
      this.campaign.experiments.length ? this.back.node : null);
  }

  saver(text, rest, query, name, isOff = false) {
    return h("button", { type: "button", disabled: isOff, on: { click: () => this.doing(async () => {
      const address = URL.createObjectURL(await getFile(path(this.name, rest), query));
      h("a", { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
      announce(`${name} is saved.`);
    }) } }, text);
  }

  /** Do something; what goes wrong is said above the board. */
  async doing(work) {
    try {
      await work();
      fill(this.problem);
      return true;
    } catch (error) {
      fill(this.problem, failure(error));
      this.problem.scrollIntoView({ block: "nearest" });
      return false;
    }
  }

  async ask(button) {
    const n = this.count();
    if (n === null) {
      fill(this.problem, notice("bad", h("p", {}, `“${this.n.value.slice(0, 20)}” is not a number of samples; write a whole number from 1.`)));
      return;
    }
    button.disabled = true;
    fill(button, "Choosing …");
    // Pressed again after a broken connection, the same request must not hand out a second batch.
    this.key ??= newKey();
    const body = { n, request_key: this.key };
    for (const [name, field] of Object.entries(this.rules)) if (field.value) body[name] = field.value;
    if (author()) body.author = author();
    const isDone = await this.doing(async () => {
      const { experiments } = await post(path(this.name, "/ask"), body);
      announce(`${counted(experiments.length, "sample")} to make.`);
      if (experiments.length < n) fill(this.problem, notice("info", h("p", {}, `The rules leave only ${counted(experiments.length, "candidate")}.`)));
    });
    if (isDone) {
      this.key = null;
      await this.load();
    } else {
      if (!navigator.onLine) return;
      this.key = null;
      button.disabled = false;
      fill(button, "Ask");
    }
  }

  /** Tell what a filled sheet says; returns what of it is new, as it stands. */
  async giveBack(bytes, kind) {
    const { name } = this;
    const before = new Map(this.campaign.experiments.map((one) => [one.id, one]));
    const { experiments } = await postFile(path(name, "/sheet"), bytes, kind, { author: author() });
    const news = experiments.filter((one) => OF_SHEETS.some((key) => JSON.stringify(one[key]) !== JSON.stringify(before.get(one.id)?.[key])));
    if (name === this.name) await this.load();
    return { news, n: experiments.length };
  }

  column(title, list, empty) {
    const newest = [...list].reverse();
    return h("section", { class: "column", "aria-label": title },
      h("h2", {}, title, h("span", { class: "count-badge" }, String(list.length))),
      list.length ? h("ul", { class: "board-list" }, newest.map((one) => h("li", {}, this.card(one)))) : h("p", { class: "empty" }, empty));
  }

  card(one) {
    const { campaign } = this;
    const formulas = campaign.columns.filter((c) => c.kind === "formula").map((c) => c.name);
    const name = formulas.map((column) => one.values[column]).find(Boolean);
    const others = campaign.columns.filter((c) => !formulas.includes(c.name) && one.values[c.name] !== undefined && one.values[c.name] !== "");
    const isBest = campaign.best.includes(one.id) || (campaign.best.length === 0 && campaign.pareto.includes(one.id));
    return h("article", { class: `experiment ${one.status}`, "aria-label": `Sample ${one.id}` },
      h("p", { class: "row between" }, h("b", {}, h("span", { class: "muted" }, `${one.id}  `), name ? formula(name) : one.words),
        one.status === "told" && isBest ? h("span", { class: "badge" }, campaign.settings.objectives.length > 1 ? "not beaten" : "best so far") : null, one.status === "abandoned" ? h("span", { class: "badge plain" }, "given back") : null, one.is_attached ? h("span", { class: "badge plain" }, "made before") : null),
      h("p", { class: "muted small" }, others.length && name ? others.map((c) => setting(c.name, one.values[c.name])).join(" · ") : name ? "" : null),
      this.numbersOf(one),
      one.failure ? h("p", { class: "small" }, h("b", {}, one.status === "failed" ? "Failed: " : "Given back: "), one.failure) : null,
      one.note ? h("p", { class: "small" }, "Note: ", one.note) : null,
      one.reasons.length ? h("details", { class: "why" }, h("summary", {}, "why"), h("ul", { class: "sentences" }, reasonsOf(one, campaign).map((line) => h("li", {}, prose(line)))),
      one.checks.length ? h("p", { class: "small muted" }, "Checked: it ", one.checks.join("; it "), ".") : null) : null,
      this.actions(one, name));
  }

  numbersOf(one) {
    const rows = this.campaign.properties.map((p) => ({ p, predicted: one.prediction[p.name], result: one.results[p.name], error: one.error[p.name] }))
      .filter((row) => row.predicted || row.result !== undefined);
    if (!rows.length) return null;
    return h("dl", { class: "facts" }, rows.map(({ p, predicted, result, error }) => [h("dt", {}, propertyName(p)), h("dd", {},
      result === undefined ? null : h("span", { class: "result" }, withError(p, result, error), " "),
      predicted ? h("span", { class: "muted" }, `${result === undefined ? "" : "predicted "}${expected(p, predicted)}`) : null)]));
  }

  actions(one, name) {
    const button = (text, work, kind = "small") => h("button", { type: "button", class: kind, "aria-label": `${text}, sample ${one.id}`, on: { click: work } }, text);
    const predict = name ? h("a", { class: "small-link", href: predictLink({ ...one.values, formula: name }) }, "predict") : null;
    if (one.status === "pending") {
      return h("p", { class: "row actions" }, button("Type result", () => this.tellDialog(one), "small main"),
        button("Failed", () => this.sayDialog(one, "fail", "What went wrong?", true)), button("Give back", () => this.sayDialog(one, "abandon", "Why is it given back? (may stay empty)", false)), predict);
    }
    if (one.status === "told") return h("p", { class: "row actions" }, button("Correct", () => this.tellDialog(one)), predict);
    return h("p", { class: "row actions" }, button("Reopen", () => this.sayDialog(one, "reopen", "Why is it reopened?", true)), predict);
  }

  tellDialog(one) {
    const isCorrection = one.status === "told";
    const form = new ResultForm(this.campaign, one, isCorrection, async (body) => {
      await post(path(this.name, isCorrection ? "/correct" : "/tell"), body);
      dialog.close();
      announce(`The result of sample ${one.id} is kept.`);
      await this.load();
    });
    const dialog = openDialog(isCorrection ? `Correct sample ${one.id}` : `Result of sample ${one.id}`, form.node, { label: "Cancel" });
    form.focus();
  }

  sayDialog(one, action, question, isNeeded) {
    const reason = new TextField(question, () => {}, { placeholder: "such as cracked on cooling", maxlength: "500" });
    const who = new TextField("Your name", () => {}, { placeholder: action === "reopen" ? "" : "optional", maxlength: "100" });
    who.value = author();
    const titles = { fail: `Sample ${one.id} failed`, abandon: `Give sample ${one.id} back`, reopen: `Reopen sample ${one.id}` };
    const problem = h("div", {});
    const form = h("form", { on: { submit: async (event) => {
      event.preventDefault();
      if (isNeeded && !reason.value) { fill(problem, notice("bad", h("p", {}, "A reason is needed; a few words will do."))); return; }
      if (action === "reopen" && !who.value) { fill(problem, notice("bad", h("p", {}, "Your name is needed, so that others know who changed it."))); return; }
      keepAuthor(who.value);
      const body = { id: one.id };
      if (reason.value) body.reason = reason.value;
      if (who.value) body.author = who.value;
      try {
        await post(path(this.name, `/${action}`), body);
        dialog.close();
        announce(`Sample ${one.id}: done.`);
        await this.load();
      } catch (error) {
        fill(problem, failure(error));
      }
    } } }, problem, reason.node, who.node, h("div", { class: "row end" }, h("button", { type: "submit", class: "main" }, "Save")));
    const dialog = openDialog(titles[action], form, { label: "Cancel" });
    reason.input.focus();
  }

  drawProgress() {
    const { campaign } = this;
    const { objectives } = campaign.settings;
    const told = campaign.experiments.filter((one) => Object.keys(one.results).length).sort((a, b) => (a.time < b.time ? -1 : 1));
    if (!campaign.progress.length) {
      this.chart.empty("The best value after each result stands here once results are told.");
      return;
    }
    const of = (name) => campaign.properties.find((p) => p.name === name);
    const text = objectives.map((o) => { const p = of(o.property); const last = campaign.progress[campaign.progress.length - 1].best[o.property]; return last === undefined ? "" : `best ${propertyName(p)} ${shown(p, last)}`; }).filter(Boolean).join(", ");
    this.chart.show((c, axes) => progressFigure(c, axes, campaign, objectives, of, told), `Progress after ${counted(campaign.progress.length, "result")}: ${text}.`, () => table([
      { head: "Result", kind: "n", cell: (s) => s.n },
      ...objectives.map((o) => ({ head: `best ${propertyName(of(o.property))}`, kind: "n", cell: (s) => (s.best[o.property] === undefined ? "–" : shown(of(o.property), s.best[o.property])) })),
    ], campaign.progress));
  }
}

function progressFigure(c, { axis, log }, campaign, objectives, of, told) {
  const plain = (p, v) => (p.is_log ? 10 ** v : v);
  const data = [];
  const measured = objectives.filter((o) => told.some((one) => one.results[o.property] !== undefined));
  const layout = { margin: { l: 64, r: measured.length > 1 ? 64 : 16, t: 12, b: 48 }, xaxis: { ...axis, title: { ...axis.title, text: "results told" }, dtick: campaign.progress.length < 12 ? 1 : undefined, rangemode: "tozero" } };
  measured.slice(0, 2).forEach((o, i) => {
    const p = of(o.property);
    const y = i ? "y2" : "y";
    const steps = campaign.progress.filter((s) => s.best[o.property] !== undefined);
    const points = told.map((one, k) => ({ n: k + 1, v: one.results[o.property] })).filter((one) => one.v !== undefined);
    const unit = bareUnit(p);
    data.push(
      { type: "scatter", mode: "lines", line: { color: c.series[i], width: 2.5, shape: "hv" }, x: steps.map((s) => s.n), y: steps.map((s) => plain(p, s.best[o.property])), yaxis: y, name: `best ${propertyName(p)}` },
      { type: "scatter", mode: "markers", marker: { color: c.series[i], size: 8, symbol: i ? "diamond" : "circle" }, x: points.map((one) => one.n), y: points.map((one) => plain(p, one.v)), yaxis: y, name: `told ${propertyName(p)}` });
    layout[i ? "yaxis2" : "yaxis"] = { ...(p.is_log ? logAxis(log, points.map((one) => plain(p, one.v)), conductivity) : axis), title: { ...axis.title, text: unit ? `${propertyName(p)} (${unit})` : propertyName(p) }, ...(i ? { overlaying: "y", side: "right", showgrid: false, tickmode: "auto" } : {}) };
  });
  return { data, layout };
}

// ---------------------------------------------------------------- the sheet that comes back

/** What a sheet says of a sample. */
const OF_SHEETS = ["status", "results", "error", "failure", "note"];

/** Chooses the filled sheet, and says what came of it. It stays while the board around it is drawn anew. */
class SheetBack {
  constructor(tell) {
    this.tell = tell;
    const id = newId("sheet-back");
    this.file = h("input", { type: "file", id, accept: TABLES, "aria-describedby": `${id}-hint`, on: { click: (event) => this.choosing(event), change: () => this.chosen() } });
    this.said = h("div", { class: "said" });
    this.node = h("div", { class: "field sheet-back" }, h("label", { for: id }, "Give back the filled sheet"), this.file,
      h("p", { class: "hint", id: `${id}-hint` }, "The Excel file, or its batch sheet as CSV. It is kept whole or not at all; cells left empty may follow later."),
      this.said);
  }

  /** The same file, corrected, is a choice too; and one sheet is read at a time. */
  choosing(event) {
    if (this.isBusy) event.preventDefault();
    else this.file.value = "";
  }

  async chosen() {
    const [file] = this.file.files;
    if (!file || this.isBusy) return;
    this.isBusy = true;
    this.file.setAttribute("aria-disabled", "true");
    fill(this.said, waiting(`Reading “${nameOf(file)}” …`));
    try {
      const bytes = await bytesOf(file);
      const text = outcome(nameOf(file), await this.tell(bytes, isWorkbook(bytes) || /\.xls[xm]?$/i.test(file.name) ? XLSX : "text/csv"));
      fill(this.said, notice("good", h("p", {}, text)));
      announce(text);
    } catch (error) {
      fill(this.said, failure(error));
    } finally {
      this.isBusy = false;
      this.file.removeAttribute("aria-disabled");
      this.file.focus({ preventScroll: true });
    }
  }
}

/** Say what a sheet told: which samples, and which of them failed. */
function outcome(name, { news, n }) {
  const failed = news.filter((one) => one.status === "failed");
  const told = news.filter((one) => one.status !== "failed");
  const ids = (list) => list.map((one) => one.id).join(", ");
  const parts = [
    told.length ? `${counted(told.length, "sample")} told (${ids(told)})` : "",
    failed.length ? `${counted(failed.length, "sample")} failed (${failed.map((one) => `${one.id}: ${one.failure}`).join("; ")})` : "",
  ].filter(Boolean);
  if (!parts.length) return `Nothing in “${name}” is new: what it says of ${counted(n, "sample")} is kept already.`;
  const rest = n - news.length;
  return `Kept from “${name}”: ${parts.join(", ")}${rest ? `; ${counted(rest, "sample")} as before` : ""}.`;
}

// ---------------------------------------------------------------- words and numbers of properties

const PROPERTY_WORDS = { log_conductivity: "conductivity", ea_ev: "activation energy", strength_mpa: "strength" };

/** Return the reasons of a choice for people: what was predicted stands above them, and properties have their names. */
function reasonsOf(one, { properties }) {
  const isAbove = (line) => properties.some((p) => one.prediction[p.name] && line.startsWith(`Predicted ${p.name} `));
  const name = (p) => (p.is_log ? `log₁₀ ${propertyName(p)}` : propertyName(p));
  const named = (line) => properties.filter((p) => p.name.includes("_")).reduce((text, p) => text.replace(new RegExp(`\\b${p.name}\\b`, "g"), name(p)), line);
  return one.reasons.filter((line) => !isAbove(line)).map(named);
}

/** Return the name of a property for people. */
export function propertyName(p) {
  return PROPERTY_WORDS[p.name] || words(p.heading.replace(/\s*\[.*\]$/, ""));
}

/** Return the unit in which people write a property. */
export function bareUnit(p) {
  return p.heading.match(/\[(.*)\]$/)?.[1] || (p.is_log ? "" : p.unit);
}

function shownBare(p, value) {
  if (p.is_log) return conductivity(10 ** value);
  return p.unit === "eV" ? fixed(value, 2) : num(value, 3);
}

function shown(p, value) {
  const unit = bareUnit(p);
  return unit ? `${shownBare(p, value)} ${unit}` : shownBare(p, value);
}

/** From so many decades a 90 % interval only says that nothing is known yet. */
const WIDEST_DECADES = 8;

const saysLittle = (p, predicted) => p.is_log && predicted.hi - predicted.lo > WIDEST_DECADES;

/** Return what was predicted with its 90 % interval. */
function expected(p, predicted) {
  const write = (value) => (p.is_log || p.unit === "eV" ? shownBare(p, value) : num(value, 2));
  const unit = bareUnit(p) ? ` ${bareUnit(p)}` : "";
  if (saysLittle(p, predicted)) return `${write(predicted.mean)}${unit}, its interval says little as yet`;
  return `${write(predicted.mean)}${unit} (${write(predicted.lo)} to ${write(predicted.hi)})`;
}

/** Return a result with its uncertainty, such as (9.0 ± 1.0)×10⁻⁴ S/cm. */
function withError(p, value, error) {
  if (!error) return shown(p, value);
  const unit = bareUnit(p) ? ` ${bareUnit(p)}` : "";
  if (!p.is_log) return `${shownBare(p, value)} ± ${num(error, 2)}${unit}`;
  const plain = 10 ** value;
  const power = Math.floor(Math.log10(plain));
  const [mantissa, spread] = [plain / 10 ** power, (plain * Math.LN10 * error) / 10 ** power];
  const decimals = spread < 0.095 ? 2 : 1;
  return `(${fixed(mantissa, decimals)} ± ${fixed(spread, decimals)})${sci(10 ** power, 1).slice(1)}${unit}`;
}

/** How the settings of a sample are written down on a card; others by name and value. */
const SETTINGS = {
  sinter_temp_c: (v) => `sinter ${num(v, 5)} °C`, sinter_time_h: (v) => `for ${num(v)} h`, heat_temp_c: (v) => `heat ${num(v, 5)} °C`, heat_time_h: (v) => `for ${num(v)} h`,
  press_mpa: (v) => `press ${num(v, 5)} MPa`, rel_density_pct: (v) => `${num(v)} % dense`, porosity_pct: (v) => `${num(v)} % pores`, second_phase_wt_pct: (v) => `${num(v)} wt%`,
  phase: phaseWord, synthesis: words, structure: words, second_phase: (v) => `with ${v}`, second_phase_role: (v) => `as ${words(v)}`,
};

/** Return a setting of a sample in words, such as sinter 1150 °C. */
export function setting(name, value) {
  if (SETTINGS[name]) return SETTINGS[name](value);
  return `${words(name)} ${typeof value === "number" ? num(value, 5) : value}`;
}

function goals({ settings, properties }) {
  const modes = { max: "highest", min: "lowest", target: "nearest to target" };
  const of = (name) => properties.find((p) => p.name === name);
  const wanted = settings.objectives.map((o) => `${modes[o.mode]}${o.mode === "target" ? ` ${shown(of(o.property), o.target)}` : ""} ${propertyName(of(o.property))}`);
  const bound = (k, way, value) => (value === null ? "" : `${propertyName(of(k.property))} ${way} ${shown(of(k.property), value)}`);
  const limits = settings.constraints.map((k) => [bound(k, "at least", k.at_least), bound(k, "at most", k.at_most)].filter(Boolean).join(" and "));
  return `Wanted: ${wanted.join(", ")}${limits.length ? `, with ${limits.join(", ")}` : ""}.`;
}

function promise(one, { properties }) {
  const p = properties.find((q) => q.name === one.name);
  if (!p) return one.sentence;
  const gain = (v) => (p.is_log ? `${num(v, 2)} ${num(v, 2) === "1" ? "decade" : "decades"}` : `${num(v, 2)}${bareUnit(p) ? ` ${bareUnit(p)}` : ""}`);
  const name = propertyName(p);
  return `${name[0].toUpperCase()}${name.slice(1)}: best told ${shown(p, one.best)}. Another batch is expected to gain ${gain(one.expected_gain)}; the chance that some untested candidate gains ${gain(one.gain)} is ${percent(one.probability_of_gain)}.`;
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

// ---------------------------------------------------------------- lists and forms

function campaignTable(list) {
  return table([
    { head: "Campaign", cell: (c) => h("a", { href: linkTo("campaign", { name: c.name }) }, c.name) },
    { head: "Wanted", cell: (c) => c.objectives.map((o) => `${{ max: "highest", min: "lowest", target: "target" }[o.mode]} ${PROPERTY_WORDS[o.property] || words(o.property)}`).join(", ") },
    { head: "Candidates", kind: "n", cell: (c) => num(c.n_candidates, 9) },
    { head: "To make", kind: "n", cell: (c) => c.n_pending }, { head: "Told", kind: "n", cell: (c) => c.n_told }, { head: "Failed", kind: "n", cell: (c) => c.n_failed },
  ], list, "", "stack");
}

function emptyList(onNew) {
  return h("div", { class: "panel empty-start" }, h("h2", {}, "No campaign yet"),
    h("p", {}, "A campaign asks what to make next, remembers what was told, and says what the next batch promises. Nothing told is ever lost, and nothing is handed out twice."),
    h("button", { type: "button", class: "main", on: { click: onNew } }, "Make the first one"));
}

/** Return a sample as its formula with its settings. */
function inWords(campaign, one) {
  const formulas = campaign.columns.filter((c) => c.kind === "formula").map((c) => c.name);
  const name = formulas.map((column) => one.values[column]).find(Boolean);
  if (!name) return h("p", { class: "muted" }, one.words);
  const rest = campaign.columns.filter((c) => !formulas.includes(c.name) && (one.values[c.name] ?? "") !== "");
  return h("p", {}, h("b", {}, formula(name)), h("span", { class: "sub" }, rest.map((c) => setting(c.name, one.values[c.name])).join(" · ")));
}

/** What came of a sample, with units and uncertainties as people write them. */
class ResultForm {
  constructor(campaign, one, isCorrection, save) {
    this.isCorrection = isCorrection;
    this.id = one.id;
    this.lines = campaign.properties.map((p) => new ResultLine(p, one));
    this.note = new TextField(isCorrection ? "Why is it corrected?" : "Note", () => {}, { placeholder: isCorrection ? "such as electrode area was wrong" : "optional", maxlength: "500" });
    this.who = new TextField("Your name", () => {}, { placeholder: isCorrection ? "" : "optional", maxlength: "100" });
    this.who.value = author();
    this.problem = h("div", {});
    const button = h("button", { type: "submit", class: "main" }, "Save result");
    this.node = h("form", { class: "results-form", on: { submit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await save(this.body());
      } catch (error) {
        fill(this.problem, failure(error));
      } finally {
        button.disabled = false;
      }
    } } }, inWords(campaign, one), this.problem, this.lines.map((line) => line.node), this.note.node, this.who.node,
    h("div", { class: "row end" }, button));
  }

  focus() {
    this.lines[0]?.value.focus();
  }

  body() {
    const body = { id: this.id, values: {} };
    const error = {};
    for (const line of this.lines) {
      const told = line.told();
      if (told === null) continue;
      body.values[line.p.name] = told.value;
      if (told.error !== null) error[line.p.name] = told.error;
    }
    if (!Object.keys(body.values).length) throw new Error("Type at least one result.");
    if (Object.keys(error).length) body.error = error;
    if (this.isCorrection) {
      if (!this.note.value || !this.who.value) throw new Error("A correction needs a reason and your name.");
      body.reason = this.note.value;
    } else if (this.note.value) {
      body.note = this.note.value;
    }
    if (this.who.value) body.author = this.who.value;
    keepAuthor(this.who.value);
    return body;
  }
}

/** One property: value, uncertainty, unit; says what is sent where that is something else than what is typed. */
class ResultLine {
  constructor(p, one) {
    this.p = p;
    const id = newId("result");
    const base = bareUnit(p);
    this.units = { ...(UNITS[base] || { [base]: 1 }), ...(p.is_log ? { [LOG]: null } : {}) };
    const say = () => this.say();
    const entry = (extra) => h("input", { type: "text", autocomplete: "off", spellcheck: "false", on: { input: say }, ...extra });
    this.value = entry({ id });
    this.error = entry({ "aria-label": `Uncertainty of ${propertyName(p)} (standard deviation)`, placeholder: "±" });
    this.unit = h("select", { "aria-label": `Unit of ${propertyName(p)}`, on: { change: say } },
      Object.keys(this.units).map((name) => { const o = h("option", {}, name || "no unit"); o.value = name; return o; }));
    this.unit.disabled = Object.keys(this.units).length === 1;
    this.hint = h("p", { class: "hint" });
    const was = one.results[p.name];
    if (was !== undefined) {
      this.value.value = String(p.is_log ? Number((10 ** was).toPrecision(4)) : was);
      if (one.error[p.name]) this.error.value = String(p.is_log ? Number((10 ** was * Math.LN10 * one.error[p.name]).toPrecision(2)) : one.error[p.name]);
    }
    this.expected = one.prediction[p.name];
    this.node = h("div", { class: "field result-line" }, h("label", { for: id }, propertyName(p)),
      h("span", { class: "result-entry" }, this.value, h("span", { "aria-hidden": "true" }, "±"), this.error, this.unit), this.hint);
    this.say();
  }

  /** Return value and uncertainty as they are sent; null where nothing is typed. */
  told() {
    const name = propertyName(this.p);
    const [value, error] = [readNumber(this.value.value), readNumber(this.error.value)];
    if (value === null && error === null) return null;
    if (value === null) throw new Error(`The ${name} has an uncertainty and no value.`);
    if (Number.isNaN(value) || Number.isNaN(error)) throw new Error(`The ${name} is not a number; write it like 2.7e-4.`);
    if (error !== null && error < 0) throw new Error(`The uncertainty of the ${name} is below zero.`);
    const factor = this.units[this.unit.value];
    if (!this.p.is_log) return { value: value * factor, error: error === null ? null : error * factor };
    if (factor === null) return { value, error };
    if (value <= 0) throw new Error(`The ${name} must be above zero; a sample that does not conduct has failed, or a bound in its note.`);
    return { value: Math.log10(value * factor), error: error === null ? null : error / (value * Math.LN10) };
  }

  say() {
    const hint = this.expected ? `Expected ${expected(this.p, this.expected)}. ` : "";
    let sent = "";
    try {
      const told = this.told();
      if (told && this.p.is_log) sent = `Kept as log₁₀ ${signed(told.value, 3)}${told.error === null ? "" : ` ± ${num(told.error, 2)}`}.`;
      else if (told && this.units[this.unit.value] !== 1) sent = `Kept as ${shown(this.p, told.value)}.`;
    } catch (error) {
      sent = error.message;
    }
    fill(this.hint, hint, sent);
  }
}
