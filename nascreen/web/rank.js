// Rank: candidates that were never made, scored with intervals, filtered, sorted, and told why.

import { get, getFile } from "./api.js";
import { Chart, label, lines, logAxis, table } from "./charts.js";
import { announce, failure, fill, h, latest, waiting } from "./dom.js";
import { ChoiceField, ListField, TextField } from "./fields.js";
import { conductivity, counted, fixed, formula, num, percent, prose, readNumber } from "./format.js";
import { predictLink } from "./records.js";
import { keepState } from "./state.js";

const LIMIT = 20;
const SCREEN = "screen:";
const MOST_WAITS = 60;

const SORTS = [
  ["conductivity_lo", "conductivity, its lower limit"], ["conductivity_s_cm", "conductivity"], ["probability", "probability of the target"],
  ["resistance_ohm_cm2", "resistance of the thinnest disc"], ["ea_ev", "activation energy"], ["strength_lo", "strength, its lower limit"],
  ["cost_usd_kg", "price of the elements"], ["novelty", "nearest to what was measured"],
  ["pareto(conductivity_lo, cost_usd_kg)", "best compromises of conductivity and price"],
  ["pareto(conductivity_lo, strength_lo)", "best compromises of conductivity and strength"],
];

/** What the plot can show: how to read it, and which way is better. */
const AXES = {
  conductivity_s_cm: { title: "σ at 25 °C (S/cm)", isLog: true, isHigher: true, show: conductivity, low: "conductivity_lo", high: "conductivity_hi" },
  cost_usd_kg: { title: "price of the elements (USD/kg)", isLog: true, isHigher: false, show: (v) => num(v, 3) },
  strength_mpa: { title: "strength (MPa)", isLog: true, isHigher: true, show: (v) => num(v, 2), low: "strength_lo", high: "strength_hi" },
  resistance_ohm_cm2: { title: "thinnest disc (Ω cm²)", isLog: true, isHigher: false, show: (v) => num(v, 2) },
  ea_ev: { title: "Ea (eV)", isLog: false, isHigher: false, show: (v) => fixed(v, 2), low: "ea_lo", high: "ea_hi" },
  novelty: { title: "distance to what was measured", isLog: false, isHigher: false, show: (v) => num(v, 2) },
};
const AXIS_CHOICES = Object.entries(AXES).map(([name, axis]) => [name, axis.title]);

const NAMES = ["space", "mode", "require", "avoid", "sigma", "sinter", "strength", "cost", "domain", "filter", "sort", "system", "above", "stronger", "n", "seed"];

/** Make the view inside its section. */
export function makeView(section) {
  return new RankView(section);
}

class RankView {
  constructor(section) {
    this.rows = [];
    this.titles = new Map();
    this.spaceTitle = h("p", { class: "hint" });
    this.answer = null;
    this.makeFields();
    this.problem = h("div", {});
    this.result = h("div", { class: "ranked" });
    this.chart = new Chart({ title: "Compromises among the rows shown", name: "nascreen-pareto", height: 360 })
      .on("plotly_click", (event) => { const link = event.points[0]?.customdata; if (link) location.hash = link; });
    fill(section, h("h1", { class: "unseen" }, "Rank candidates"), this.form(), this.problem, this.result);
    this.ask = latest(() => this.fetch());
    this.showStart();
    this.changed();
    this.spaces = this.readSpaces();
  }

  makeFields() {
    const changed = () => this.changed();
    const text = (title, placeholder, hint = "") => new TextField(title, changed, { placeholder, hint });
    this.fields = {
      space: new ListField("Space of candidates", [["", "reading the spaces …"]], changed),
      mode: new ChoiceField("Query", [["", "by fields"], ["text", "as a filter"]], changed),
      require: text("Must contain", "such as Zr Si"),
      avoid: text("Must not contain", "such as Sc Ge"),
      sigma: text("σ surely above (S/cm)", "such as 1e-4"),
      sinter: text("Sintered at most at (°C)", "any"),
      strength: text("Strength above (MPa)", "any"),
      cost: text("Price at most (USD/kg)", "any"),
      filter: new TextField("Filter in the OPTIMADE grammar", changed, {
        placeholder: 'NOT elements HAS "Sc" AND sinter_temp_c < 1150', multiline: true, rows: "3", class: "code", maxlength: "4000",
      }),
      sort: new ListField("Best first by", SORTS, () => { this.changed(); if (this.answer) this.run(); }),
      system: text("Most per set of elements", "any"),
      above: text("Target: σ above (S/cm)", "such as 1e-3"),
      stronger: text("and strength above (MPa)", "any"),
      n: new ListField("Candidates scored", [["", "usual"], ["1000", "1 000"], ["20000", "20 000"], ["50000", "50 000"]], changed),
      seed: text("Seed of the draw", "0"),
    };
    this.fields.space.node.append(this.spaceTitle);
    this.domain = h("input", { type: "checkbox", id: "in-domain", on: { change: changed } });
  }

  form() {
    const of = (...names) => names.map((name) => this.fields[name].node);
    this.byFields = h("div", { class: "grid" }, of("require", "avoid", "sigma", "sinter", "strength", "cost"));
    this.inside = h("label", { class: "check", for: "in-domain" }, this.domain, "only inside the domain");
    this.columns = h("div", { class: "columns", tabindex: "0", role: "region", "aria-label": "Columns" });
    this.columnList = h("details", { class: "numbers", on: { toggle: () => this.showColumns() } }, h("summary", {}, "Columns that a filter may name"), this.columns);
    this.byText = h("div", {}, of("filter"), this.columnList);
    this.preview = h("p", { class: "hint preview" });
    this.button = h("button", { type: "submit", class: "main" }, "Rank");
    return h("form", { class: "panel query", "aria-label": "Query", on: { submit: (event) => { event.preventDefault(); this.run(); } } },
      h("div", { class: "grid head" }, of("space", "sort", "mode")), this.byFields, this.byText,
      h("div", { class: "grid" }, of("above", "stronger", "system", "n", "seed"), this.inside),
      h("div", { class: "row between" }, this.preview, this.button));
  }

  async readSpaces() {
    try {
      const { spaces, screens } = await get("/v1/spaces");
      this.titles = new Map(spaces.map((s) => [s.name, s.title]));
      this.fields.space.offer([...spaces.map((s) => [s.name, s.name]), ...(screens || []).map((name) => [`${SCREEN}${name}`, `screen ${name}`])]);
      if (!this.fields.space.value) this.fields.space.value = (spaces.find((s) => s.name === "nasicon") || spaces[0])?.name;
      this.changed();
    } catch (error) {
      fill(this.problem, failure(error, () => { this.spaces = this.readSpaces(); }));
    }
  }

  showStart() {
    fill(this.result, h("div", { class: "panel empty-start" }, h("h2", {}, "Which one next?"),
      h("p", {}, "Choose a space of candidates, say what it must and must not be, and press Rank. Every candidate is charge balanced and comes with its processing, 90 % intervals, and the reasons."),
      h("p", { class: "muted" }, "A space is scored at the first question, which takes some seconds; later questions are answered at once.")));
  }

  /** Show what an address says; a query in it is run. */
  async show(params) {
    if (![...params.keys()].length) return;
    const before = JSON.stringify(this.state());
    for (const name of NAMES) {
      if (name === "domain") this.domain.checked = Boolean(params.get(name));
      else this.fields[name].value = params.get(name);
    }
    this.changed();
    await this.spaces;
    if (this.answer === null || JSON.stringify(this.state()) !== before) this.run();
  }

  state() {
    const values = Object.fromEntries(Object.entries(this.fields).map(([name, field]) => [name, field.value]));
    const unused = values.mode === "text" ? ["require", "avoid", "sigma", "sinter", "strength", "cost"] : ["filter"];
    for (const name of unused) values[name] = "";
    if (values.sort === SORTS[0][0]) values.sort = "";
    return { ...values, domain: values.mode !== "text" && this.domain.checked ? "1" : "" };
  }

  changed() {
    const isText = this.fields.mode.value === "text";
    fill(this.spaceTitle, prose(this.titles.get(this.fields.space.value) || ""));
    if (isText && !this.fields.filter.value && !this.wasText) this.fields.filter.value = this.built().filter;
    this.wasText = isText;
    this.byFields.hidden = isText;
    this.byText.hidden = !isText;
    this.inside.hidden = isText;
    const { filter, fault } = this.built();
    this.showColumns();
    fill(this.preview, fault ? h("span", { class: "wrong" }, fault) : isText ? "" : filter ? ["Filter: ", h("code", {}, filter)] : "No filter: every candidate.");
  }

  /** Return the filter that the fields make, or what is wrong with a field. */
  built() {
    if (this.fields.mode.value === "text") return { filter: this.fields.filter.value, fault: "" };
    const parts = [];
    for (const [name, what] of [["require", "ALL"], ["avoid", "ANY"]]) {
      const symbols = this.fields[name].value.split(/[\s,;]+/).filter(Boolean);
      const wrong = symbols.find((s) => !/^[A-Z][a-z]?$/.test(s));
      if (wrong) return { filter: "", fault: `“${wrong.slice(0, 20)}” is not the symbol of an element; write symbols such as Sc, with blanks between them.` };
      if (symbols.length) parts.push(`${name === "avoid" ? "NOT " : ""}elements HAS ${what} ${symbols.map((s) => `"${s}"`).join(",")}`);
    }
    for (const [name, make] of Object.entries(BOUNDS)) {
      const value = readNumber(this.fields[name].value);
      if (Number.isNaN(value)) return { filter: "", fault: `“${this.fields[name].value.slice(0, 20)}” is not a number; write it like 25 or 1e-4.` };
      if (value !== null) parts.push(make(value));
    }
    if (this.domain.checked) parts.push("in_domain = TRUE");
    return { filter: parts.join(" AND "), fault: "" };
  }

  targets() {
    const of = (name, column) => {
      const value = readNumber(this.fields[name].value);
      if (Number.isNaN(value)) throw new Error("A target is not a number; write it like 1e-3.");
      return value === null ? [] : [`${column} > ${value}`];
    };
    return [...of("above", "conductivity_s_cm"), ...of("stronger", "strength_mpa")];
  }

  whole(name, title) {
    const value = readNumber(this.fields[name].value);
    if (value !== null && !Number.isInteger(value)) throw new Error(`${title} is not a whole number.`);
    return value;
  }

  query() {
    const { filter, fault } = this.built();
    if (fault) throw new Error(fault);
    const space = this.fields.space.value;
    const source = space.startsWith(SCREEN) ? { screen: space.slice(SCREEN.length) } : { space };
    return {
      ...source, filter, sort: this.fields.sort.value, target: this.targets(), n: this.fields.n.value,
      per_system: this.whole("system", "The number with the same elements"), seed: this.whole("seed", "The seed"),
    };
  }

  run() {
    keepState("rank", this.state());
    this.offset = 0;
    this.ask();
  }

  async fetch() {
    const { offset } = this;
    this.button.disabled = true;
    if (offset === 0) fill(this.result, h("div", { class: "panel" }, waiting("Scoring candidates; the first question to a space takes some seconds …")));
    try {
      this.asked = this.query();
      const answer = await this.patiently({ ...this.asked, limit: LIMIT, offset });
      this.answer = answer;
      this.rows = offset ? [...this.rows, ...answer.rows] : answer.rows;
      fill(this.problem);
      this.draw();
      announce(`${counted(answer.n_matching, "candidate")} pass; ${this.rows.length} are shown.`);
    } catch (error) {
      fill(this.problem, failure(error, error.status === 0 || error.status >= 429 ? () => this.run() : null));
      if (offset === 0) { this.answer = null; fill(this.result); }
    } finally {
      this.button.disabled = false;
    }
  }

  /** Ask for a ranking; while a large space is being scored the service says so, and is asked again. */
  async patiently(query) {
    for (let n = 1; ; n += 1) {
      try {
        return await get("/v1/rank", query);
      } catch (error) {
        if (error.status !== 503 || n >= MOST_WAITS) throw error;
        fill(this.result, h("div", { class: "panel" }, waiting(`${error.message} This page does so by itself.`)));
        await new Promise((resolve) => { setTimeout(resolve, 5000); });
      }
    }
  }

  draw() {
    const { answer } = this;
    if (!this.rows.length) {
      fill(this.result, h("div", { class: "panel" }, h("p", { class: "empty" }, `None of ${counted(answer.n_scored, "scored candidate")} passes. Loosen a bound, or score more candidates.`)));
      return;
    }
    const more = answer.next_offset === null || answer.next_offset === undefined ? null
      : h("button", { type: "button", on: { click: () => { this.offset = answer.next_offset; this.ask(); } } }, "Show more");
    fill(this.result,
      h("div", { class: "row between status" },
        h("p", { class: "count" }, `${counted(answer.n_matching, "candidate")} of ${counted(answer.n_scored, "scored one")} pass; ${this.rows.length} shown, at 25 °C with 90 % intervals.`),
        h("button", { type: "button", class: "small", on: { click: () => this.download() } }, "Download CSV")),
      answer.note ? h("p", { class: "hint" }, answer.note) : null,
      h("div", { class: "panel list" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Ranking" }, rankTable(this.rows)), more),
      h("div", { class: "panel" }, this.axes(), this.chart.node));
    this.drawChart();
  }

  /** Show what a filter of the space may name, once the list is opened. */
  async showColumns() {
    const space = this.fields.space.value;
    if (!this.columnList.open || this.columnsOf === space) return;
    this.columnsOf = space;
    fill(this.columns, waiting("Reading the columns …"));
    try {
      const columns = space.startsWith(SCREEN) ? this.answer?.columns || [] : (await get(`/v1/spaces/${encodeURIComponent(space)}`)).columns;
      fill(this.columns, h("p", { class: "hint" }, h("code", {}, "elements HAS ANY \"Sc\",\"Ge\""), ", and these:"), table([
        { head: "Column", cell: (c) => h("code", {}, c.name) }, { head: "Kind", cell: (c) => c.kind }, { head: "Meaning", cell: (c) => c.description },
      ], columns.filter((c) => !c.name.startsWith("amount_"))));
    } catch (error) {
      this.columnsOf = "";
      fill(this.columns, failure(error));
    }
  }

  axes() {
    this.across ??= new ListField("Across", AXIS_CHOICES, () => this.drawChart());
    this.up ??= new ListField("Up", AXIS_CHOICES, () => this.drawChart());
    if (this.across.value === this.up.value) {
      const hasCost = this.rows.some((r) => typeof r.cost_usd_kg === "number");
      this.across.value = hasCost ? "cost_usd_kg" : "strength_mpa";
      this.up.value = "conductivity_s_cm";
    }
    return h("div", { class: "grid head" }, this.across.node, this.up.node);
  }

  drawChart() {
    const [x, y] = [this.across.value, this.up.value];
    const rows = this.rows.filter((r) => typeof r[x] === "number" && typeof r[y] === "number");
    if (!rows.length) {
      this.chart.empty("None of the rows has both quantities.");
      return;
    }
    const front = new Set(paretoFront(rows, x, y));
    const words = `${AXES[y].title} over ${AXES[x].title} of ${counted(rows.length, "candidate")}; ${front.size} are not beaten in both.`;
    this.chart.show((c, axes) => figure(c, axes, rows, front, x, y), words, () => table([
      { head: "#", kind: "n", cell: (r) => r.rank }, { head: "Formula", cell: (r) => formula(r.formula) },
      { head: AXES[x].title, kind: "n", cell: (r) => AXES[x].show(r[x]) }, { head: AXES[y].title, kind: "n", cell: (r) => AXES[y].show(r[y]) },
      { head: "Compromise", cell: (r) => (front.has(r) ? "not beaten" : "") },
    ], rows));
  }

  async download() {
    try {
      const file = await getFile("/v1/rank", { ...this.asked, limit: Math.max(LIMIT, this.rows.length), format: "csv" });
      const where = URL.createObjectURL(file);
      const link = h("a", { href: where, download: "ranking.csv" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(where), 10000);
      announce("ranking.csv is saved.");
    } catch (error) {
      fill(this.problem, failure(error));
    }
  }
}

const BOUNDS = {
  sigma: (v) => `conductivity_lo > ${v}`,
  // What is never sintered, such as a glass, is not sintered too hot.
  sinter: (v) => `(sinter_temp_c <= ${v} OR sinter_temp_c IS UNKNOWN)`,
  strength: (v) => `strength_mpa > ${v}`,
  cost: (v) => `cost_usd_kg <= ${v}`,
};

const range = (low, high, show) => h("span", { class: "sub" }, `${show(low)} to ${show(high)}`);

function rankTable(rows) {
  const has = (name) => rows.some((r) => typeof r[name] === "number");
  const columns = [
    { head: "Candidate", cell: (r) => [h("span", { class: "whole" }, h("span", { class: "muted" }, `${r.rank}  `), h("a", { href: predictLink(r), "aria-label": `Open ${r.formula} in Predict` }, formula(r.formula))),
      h("span", { class: "sub" }, r.processing)] },
    { head: "σ (S/cm)", kind: "n", cell: (r) => [conductivity(r.conductivity_s_cm), range(r.conductivity_lo, r.conductivity_hi, conductivity)] },
    has("probability") ? { head: "P(target)", kind: "n", cell: (r) => percent(r.probability) } : null,
    { head: "Ea (eV)", kind: "n", cell: (r) => [fixed(r.ea_ev, 2), range(r.ea_lo, r.ea_hi, (v) => fixed(v, 2))] },
    { head: "Strength (MPa)", kind: "n", cell: (r) => [num(r.strength_mpa, 2), range(r.strength_lo, r.strength_hi, (v) => num(v, 2))] },
    { head: "Disc (Ω cm²)", kind: "n", cell: (r) => [num(r.resistance_ohm_cm2, 2), typeof r.thinnest_um === "number" ? h("span", { class: "sub" }, `${num(r.thinnest_um, 2)} µm`) : null] },
    has("cost_usd_kg") ? { head: "USD/kg", kind: "n", cell: (r) => num(r.cost_usd_kg, 3) } : null,
    { head: "Domain and reasons", cell: (r) => [r.in_domain ? h("span", { class: "goodword" }, "inside") : h("span", { class: "warnword" }, r.domain_note ? `outside: ${r.domain_note}` : "outside"), reasons(r.reasons)] },
  ];
  return table(columns.filter(Boolean), rows, "", "stack");
}

function reasons(list) {
  if (!list?.length) return null;
  return h("details", { class: "why" }, h("summary", {}, "why"), h("ul", { class: "sentences" }, list.map((one) => h("li", {}, prose(one)))));
}

/** Return the rows that no other row beats in both quantities. */
export function paretoFront(rows, x, y) {
  const better = (name, value) => (AXES[name].isHigher ? value : -value);
  const sorted = [...rows].sort((a, b) => better(x, b[x]) - better(x, a[x]) || better(y, b[y]) - better(y, a[y]));
  let best = -Infinity;
  return sorted.filter((r) => {
    const is = better(y, r[y]) > best;
    if (is) best = better(y, r[y]);
    return is;
  });
}

function figure(c, { axis, log }, rows, front, x, y) {
  const all = (name) => rows.flatMap((r) => [r[name], r[AXES[name].low], r[AXES[name].high]]).filter((v) => typeof v === "number");
  const side = (name) => ({ ...(AXES[name].isLog ? logAxis(log, all(name), AXES[name].show) : axis), title: { ...axis.title, text: AXES[name].title } });
  const text = (r) => [`<b>${label(r.formula)}</b>`, `${AXES[x].show(r[x])} · ${AXES[y].show(r[y])}`, lines(r.processing)].join("<br>");
  const error = (group, name) => {
    const { low, high } = AXES[name];
    return low ? { type: "data", symmetric: false, array: group.map((r) => r[high] - r[name]), arrayminus: group.map((r) => r[name] - r[low]), color: c.faint, thickness: 1, width: 0 } : undefined;
  };
  const trace = (group, marker, name) => ({ type: "scatter", mode: "markers", x: group.map((r) => r[x]), y: group.map((r) => r[y]), error_x: error(group, x), error_y: error(group, y),
    customdata: group.map((r) => predictLink(r)), text: group.map(text), hovertemplate: "%{text}<extra></extra>", marker, name });
  const onFront = rows.filter((r) => front.has(r)).sort((a, b) => a[x] - b[x]);
  return {
    data: [
      trace(rows.filter((r) => !front.has(r)), { color: c.faint, size: 8 }, "beaten by another"),
      { type: "scatter", mode: "lines", x: onFront.map((r) => r[x]), y: onFront.map((r) => r[y]), line: { color: c.accent, width: 1.5, dash: "dot" }, hoverinfo: "skip", showlegend: false },
      trace(onFront, { color: c.accent, size: 10, symbol: "diamond" }, "not beaten in both"),
    ],
    layout: { xaxis: side(x), yaxis: side(y), margin: { l: 64, r: 16, t: 12, b: 48 } },
  };
}

