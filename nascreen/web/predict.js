// Predict: a formula and its processing; what is expected of it, how sure that is, and why.

import { post } from "./api.js";
import { Chart, SYMBOLS, label, lines, logAxis, table } from "./charts.js";
import { announce, debounced, failure, fill, h, latest, notice, waiting } from "./dom.js";
import { ChoiceField, KINDS, ListField, NUMBERS, NumberField, PHASES, ROLES, SAMPLE_NAMES, TEXTS, TextField, sampleOf } from "./fields.js";
import { conductivity, familyWord, fixed, formula, num, percent, phaseWord, prose, readNumber, sci, signed, words } from "./format.js";
import { openRecord, recordButton } from "./records.js";
import { keepState, linkTo } from "./state.js";

const ZERO_C = 273.15;
const ROOM_C = 25;
const EXPLAIN_PAUSE_MS = 350;

const NASICON = { formula: "Na3Zr2Si2PO12", sinter_temp_c: 1100, sinter_time_h: 10, porosity_pct: 10, synthesis: "solid_state" };
const THIOBORATE = { formula: "Na3BS3", press_mpa: 360 };

/** The founding experiments, as the two papers made them. */
const EXAMPLES = [
  ["NASICON, sintered at 1100 °C", [
    ["bare", { ...NASICON, phase: "crystalline" }],
    ["pores filled with epoxy", { ...NASICON, phase: "composite", second_phase: "epoxy", second_phase_role: "pore_filler" }],
  ]],
  ["Sodium thioborate Na3BS3", [
    ["glass", { ...THIOBORATE, phase: "glass", rel_density_pct: 94.4 }],
    ["glass-ceramic, 200 °C", { formula: "Na3BS3", phase: "glass_ceramic", heat_temp_c: 200, heat_time_h: 1, rel_density_pct: 76.5 }],
  ]],
];

/** Make the view inside its section; returns what shows parameters. */
export function makeView(section) {
  return new PredictView(section);
}

class PredictView {
  constructor(section) {
    this.section = section;
    const changed = (field, how) => this.changed(field, how);
    this.makeFields(changed);
    this.results = new Results(this);
    fill(section, h("div", { class: "workbench" }, this.form(), this.results.node), this.results.bar);
    this.predict = latest(() => this.askPrediction());
    this.curve = latest(() => this.askCurve());
    this.explain = latest(() => this.askReasons());
    this.explainSoon = debounced(EXPLAIN_PAUSE_MS, () => this.explain());
    this.keepSoon = debounced(200, () => keepState("predict", this.values()));
    this.round = 0;
  }

  makeFields(changed) {
    this.formulaField = new TextField("Formula", changed, {
      placeholder: "Na3Zr2Si2PO12", hint: "Amounts may be fractions: Na3.4Zr2Si2.4P0.6O12", class: "formula-input", maxlength: "400",
    });
    this.numbers = Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, new NumberField(name, changed)]));
    this.fields = {
      formula: this.formulaField, ...this.numbers,
      phase: new ChoiceField("Phase", PHASES, changed),
      second_phase: new TextField("Second phase", changed, { placeholder: "not stated, or such as epoxy" }),
      second_phase_role: new ListField("Role of the second phase", ROLES, changed),
      synthesis: new TextField("Route of synthesis", changed, { placeholder: "not stated, or such as solid_state" }),
      structure: new TextField("Structure", changed, { placeholder: "not stated, or such as monoclinic" }),
      conductivity_kind: new ListField("Kind of conductivity", KINDS, changed),
    };
    this.above = h("input", { type: "text", id: "above", class: "number", autocomplete: "off", spellcheck: "false",
      placeholder: "1e-3", on: { input: () => this.changed(null, "typed") } });
  }

  form() {
    const of = (...names) => names.map((name) => this.fields[name].node);
    const group = (title, isOpen, ...names) => h("details", { class: "group", open: isOpen, data: { names: names.join(" ") } },
      h("summary", {}, title, h("span", { class: "stated" })), of(...names));
    // On a phone the results come sooner when only what is stated is open.
    const isWide = matchMedia("(min-width: 821px)").matches;
    this.groups = [
      group("Sintering", isWide, "sinter_temp_c", "sinter_time_h"),
      group("Density and pressing", isWide, "porosity_pct", "rel_density_pct", "press_mpa"),
      group("Heat treatment", false, "heat_temp_c", "heat_time_h"),
      group("Second phase", false, "second_phase", "second_phase_role", "second_phase_wt_pct"),
      group("Measurement, route, structure", false, "meas_temp_c", "conductivity_kind", "synthesis", "structure"),
    ];
    const clear = h("button", { type: "button", class: "plain small", on: { click: () => this.clear() } }, "Set all to not stated");
    return h("form", { class: "panel inputs", "aria-label": "Sample", on: { submit: (event) => event.preventDefault() } },
      of("formula"), this.examples(), of("phase"), this.groups, h("p", { class: "row between" }, h("span", { class: "hint" },
        "What is not stated is left out: the interval then covers what texts usually do."), clear));
  }

  examples() {
    return h("div", { class: "examples" }, EXAMPLES.map(([title, list]) => h("div", {},
      h("span", { class: "hint" }, formula(title)),
      h("span", { class: "chips" }, list.map(([name, values]) =>
        h("a", { class: "chip", href: linkTo("predict", values), "aria-label": `Example: ${title}, ${name}` }, name))))));
  }

  /** Show what an address says. */
  show(params) {
    for (const name of SAMPLE_NAMES) this.setField(name, params.get(name));
    this.above.value = params.get("above") || "";
    for (const group of this.groups) {
      if (group.dataset.names.split(" ").some((name) => params.get(name))) group.open = true;
    }
    this.countStated();
    this.keepSoon();
    this.askAll();
  }

  setField(name, text) {
    const field = this.fields[name];
    field.value = text;
  }

  clear() {
    for (const name of SAMPLE_NAMES) if (name !== "formula") this.setField(name, null);
    this.changed(null, "clear");
    announce("All processing set to not stated.");
  }

  values() {
    const values = {};
    for (const name of SAMPLE_NAMES) {
      const { value } = this.fields[name];
      values[name] = Number.isNaN(value) ? null : value;
    }
    return { ...values, above: this.above.value.trim() };
  }

  changed() {
    this.countStated();
    this.keepSoon();
    this.askAll();
  }

  countStated() {
    for (const group of this.groups) {
      const names = group.dataset.names.split(" ");
      const n = names.filter((name) => { const { value } = this.fields[name]; return value !== null && value !== ""; }).length;
      fill(group.querySelector(".stated"), n ? `${n} of ${names.length} stated` : "not stated");
    }
  }

  askAll() {
    this.round += 1;
    const fault = this.fault();
    if (fault !== null) {
      this.results.pause(fault);
      return;
    }
    this.results.wait();
    this.predict();
    this.curve();
    this.explainSoon();
  }

  /** Return why nothing can be asked yet: "" while there is no formula, a sentence for a fault, null for nothing. */
  fault() {
    if (Object.values(this.numbers).some((field) => Number.isNaN(field.value))) return "One of the numbers cannot be read; it is marked.";
    if (Number.isNaN(readNumber(this.above.value))) return "The threshold is not a number; write it like 1e-3, in S/cm.";
    return this.formulaField.value ? null : "";
  }

  sample() {
    return sampleOf(this.values());
  }

  /** Ask something for what the fields say now; an answer to what they said before is left aside. */
  async ask(path, query, show, fail) {
    const { round } = this;
    if (this.fault() !== null) return;
    try {
      const answer = await post(path, this.sample(), query);
      if (round === this.round) show(answer);
    } catch (error) {
      if (round === this.round) fail(error);
    }
  }

  askPrediction() {
    const above = readNumber(this.above.value);
    return this.ask("/v1/predict", { above_s_cm: above }, (p) => this.results.showPrediction(p), (e) => this.results.fail(e));
  }

  askCurve() {
    const given = this.numbers.meas_temp_c.value;
    const low = Math.max(-200, Math.min(-25, given === null ? 0 : given - 10));
    const high = Math.min(1000, Math.max(300, given === null ? 0 : given + 10));
    return this.ask("/v1/curve", { from_c: low, to_c: high, n: 40 }, (c) => this.results.showCurve(c, given),
      () => this.results.noCurve());
  }

  askReasons() {
    return this.ask("/v1/explain", {}, (e) => this.results.showReasons(e), (e) => this.results.noReasons(e));
  }
}

/** Everything right of the inputs. */
class Results {
  constructor(view) {
    this.view = view;
    this.tiles = h("div", { class: "tiles" });
    this.makeTiles();
    this.verdict = h("div", { class: "verdict" });
    this.chart = new Chart({ title: "Conductivity and temperature", name: "nascreen-arrhenius", height: 390 });
    this.chart.on("plotly_click", (event) => { const id = event.points[0]?.customdata; if (id) openRecord(id); });
    this.reasons = h("div", { class: "reasons" });
    this.problem = h("div", { class: "problem" });
    this.start = this.empty();
    this.body = h("div", { class: "answer" }, this.tiles, this.verdict,
      h("div", { class: "panel" }, this.chart.node), this.reasons);
    this.node = h("div", { class: "results", data: { state: "empty" } }, this.problem, this.start, this.body);
    this.bar = h("button", { type: "button", class: "summary-bar", on: { click: () => this.node.scrollIntoView({ behavior: "smooth" }) } });
    this.measure = "log_sigma";
    this.setEmpty(true);
  }

  empty() {
    return h("div", { class: "panel empty-start" },
      h("h1", {}, "What will this electrolyte do?"),
      h("p", {}, "Type a formula, and whatever you know of its processing. You get conductivity, activation energy and strength with 90 % intervals, the reasons, and the measured samples nearest to it."),
      h("p", {}, "Or start from one of the examples: two founding experiments, each in two states."));
  }

  makeTiles() {
    this.tile = {
      sigma: makeTile("Conductivity"), ea: makeTile("Activation energy"), strength: makeTile("Strength"),
      disc: makeTile("Area resistance"), above: makeTile("Probability"),
    };
    const { above } = this.tile;
    fill(above.head, h("label", { for: "above" }, "P(σ > "), this.view.above, h("span", {}, "S/cm)"));
    above.head.classList.add("with-input");
    fill(this.tiles, Object.values(this.tile).map((t) => t.node));
  }

  setEmpty(isEmpty) {
    this.start.hidden = !isEmpty;
    this.body.hidden = isEmpty;
    this.bar.hidden = isEmpty;
    if (isEmpty) this.node.dataset.state = "empty";
  }

  wait() {
    this.setEmpty(false);
    this.node.dataset.state = "busy";
  }

  /** Nothing can be asked: no formula, or a fault in the fields. */
  pause(fault) {
    fill(this.problem, fault ? notice("bad", h("p", {}, fault)) : null);
    if (fault) this.stale();
    else this.setEmpty(true);
  }

  fail(error) {
    fill(this.problem, failure(error, error.status === 0 || error.status >= 429 ? () => this.view.askAll() : null));
    this.stale();
  }

  /** What stands there is not of what the fields say: it goes. */
  stale() {
    this.node.dataset.state = "failed";
    this.body.hidden = true;
    this.bar.hidden = true;
    this.start.hidden = true;
  }

  showPrediction(p) {
    fill(this.problem);
    this.setEmpty(false);
    const isStated = this.view.numbers.meas_temp_c.value !== null;
    const t = this.tile;
    fill(t.sigma.head, `Conductivity at ${num(p.meas_temp_c)} °C`);
    fillTile(t.sigma, conductivity(p.conductivity_s_cm), "S/cm", interval(conductivity(p.conductivity_lo), conductivity(p.conductivity_hi)),
      isStated ? (p.meas_temp_c === ROOM_C ? "" : `${conductivity(p.conductivity_25_s_cm)} S/cm at 25 °C`) : "no temperature stated: room temperature",
      gauge(p.conductivity_s_cm, p.conductivity_lo, p.conductivity_hi, 1e-10, 1));
    fillTile(t.ea, fixed(p.ea_ev, 2), "eV", interval(fixed(p.ea_lo, 2), fixed(p.ea_hi, 2)), "of σT = A·exp(−Ea/kT)",
      gauge(p.ea_ev, p.ea_lo, p.ea_hi, 0, 1.2, false));
    fillTile(t.strength, num(p.strength_mpa, 2), "MPa", interval(num(p.strength_lo, 2), num(p.strength_hi, 2)), "",
      gauge(p.strength_mpa, p.strength_lo, p.strength_hi, 1, 1000));
    fillTile(t.disc, num(p.resistance_ohm_cm2, 2), "Ω cm²", `disc of ${num(p.thinnest_um, 2)} µm`,
      "at 25 °C, of the thinnest disc that bears handling", null);
    this.showAbove(p);
    this.showVerdict(p);
    fill(this.bar, h("span", {}, h("b", {}, `${conductivity(p.conductivity_s_cm)} S/cm`), ` · ${fixed(p.ea_ev, 2)} eV · ${num(p.strength_mpa, 2)} MPa`),
      h("span", { class: p.in_domain ? "ok" : "no" }, p.in_domain ? "inside ↓" : "outside ↓"));
    this.node.dataset.state = "ready";
    this.node.dataset.round = String(this.view.round);
    this.say(p);
  }

  say(p) {
    this.saySoon ??= debounced(900, (text) => announce(text));
    this.saySoon(`Conductivity ${conductivity(p.conductivity_s_cm)} siemens per centimetre, activation energy ${fixed(p.ea_ev, 2)} electronvolt, strength ${num(p.strength_mpa, 2)} megapascal. ${p.in_domain ? "Inside the domain." : `Outside the domain: ${p.domain_note}`}`);
  }

  showAbove(p) {
    const has = p.probability_above !== null;
    fillTile(this.tile.above, has ? percent(p.probability_above) : "–", "",
      has ? `of σ above ${sci(p.above_s_cm, 2)} S/cm` : "set a threshold above", has ? `at ${num(p.meas_temp_c)} °C` : "", has ? meter(p.probability_above) : null);
  }

  showVerdict(p) {
    const family = `Family: ${familyWord(p.family)}.`;
    if (p.in_domain) {
      fill(this.verdict, notice("good", h("p", {}, h("b", {}, "Inside the domain of the models. "), "They have learned from samples like this one. ", family,
        p.domain_note ? [" ", prose(sentence(p.domain_note))] : null)));
      return;
    }
    fill(this.verdict, notice("warn", h("p", {}, h("b", {}, "Outside the domain of the models: do not rely on these numbers. "), prose(sentence(p.domain_note)), " ", family)));
  }

  showCurve(answer, given) {
    const temp = given === null ? ROOM_C : given;
    const kinds = [...new Set(answer.measured.map((m) => m.conductivity_kind || "unspecified"))];
    const withTemp = answer.measured.filter((m) => m.temp_c !== null);
    const first = answer.points[0];
    const end = answer.points[answer.points.length - 1];
    const text = `Predicted conductivity from ${conductivity(first.conductivity_s_cm)} S/cm at ${num(first.temp_c)} °C to ${conductivity(end.conductivity_s_cm)} S/cm at ${num(end.temp_c)} °C, with its 90 % band and ${withTemp.length} measured samples near it.`;
    this.chart.show((c, axes, width) => arrhenius(c, axes, width, answer.points, withTemp, kinds, temp), text, () => [
      table([
        { head: "T (°C)", kind: "n", cell: (r) => num(r.temp_c) },
        { head: "σ (S/cm)", kind: "n", cell: (r) => conductivity(r.conductivity_s_cm) },
        { head: "90 % from", kind: "n", cell: (r) => conductivity(r.conductivity_lo) },
        { head: "to", kind: "n", cell: (r) => conductivity(r.conductivity_hi) },
      ], answer.points.filter((_, i) => i % 7 === 0), "Predicted line"),
      table([
        { head: "Sample", cell: (r) => recordButton(r.sample_id) },
        { head: "Formula", cell: (r) => formula(r.formula) },
        { head: "Processing", cell: (r) => r.processing },
        { head: "T (°C)", kind: "n", cell: (r) => num(r.temp_c) },
        { head: "σ (S/cm)", kind: "n", cell: (r) => conductivity(r.conductivity_s_cm) },
      ], answer.measured, "Measured samples near it"),
    ]);
  }

  noCurve() {
    this.chart.empty("There is no line without a prediction.");
  }

  noReasons(error) {
    // The same fault stands above already where the prediction failed too.
    fill(this.reasons, this.node.dataset.state === "failed" ? null : failure(error, () => this.view.explain()));
  }

  showReasons(answer) {
    fill(this.reasons,
      h("div", { class: "panel" }, h("h2", {}, "What each input adds"), this.contributions(answer)),
      h("div", { class: "panel" }, h("h2", {}, "What bounds it"),
        h("ul", { class: "sentences" }, answer.limits.map((line) => h("li", {}, prose(line))))),
      h("div", { class: "panel" }, h("h2", {}, "What would change it"), changes(answer.changes, this.view)),
      h("div", { class: "panel across" }, h("h2", {}, "Nearest measured samples"), nearest(answer.nearest)));
  }

  contributions(answer) {
    const inside = h("div");
    const measures = [["log_sigma", "conductivity"], ["ea_ev", "activation energy"], ["log_strength", "strength"]];
    const choice = new ChoiceField("Contribution to", measures, (field) => { this.measure = field.value; show(); });
    choice.value = this.measure;
    const show = () => fill(inside, contributionTable(answer, this.measure));
    show();
    return [choice.node, inside];
  }
}

function makeTile(title) {
  const tile = { head: h("div", { class: "head" }, title), value: h("div", { class: "value" }), range: h("div", { class: "range" }),
    note: h("div", { class: "note" }), glyph: h("div", { class: "glyph", "aria-hidden": "true" }) };
  tile.node = h("div", { class: "tile" }, tile.head, tile.value, tile.range, tile.glyph, tile.note);
  return tile;
}

function fillTile(tile, value, unit, range, note, glyph) {
  fill(tile.value, value, unit ? h("span", { class: "unit" }, ` ${unit}`) : null);
  fill(tile.range, range);
  fill(tile.note, note);
  fill(tile.glyph, glyph);
}

const interval = (low, high) => `90 %: ${low} to ${high}`;

/** Return a bar that shows where value and interval stand on a scale. */
function gauge(value, low, high, from, to, isLog = true) {
  const place = (v) => {
    const at = isLog ? (Math.log10(v) - Math.log10(from)) / (Math.log10(to) - Math.log10(from)) : (v - from) / (to - from);
    return 100 * Math.min(1, Math.max(0, at));
  };
  const bar = h("span", { class: "bar" });
  bar.style.left = `${place(low)}%`;
  bar.style.width = `${Math.max(1, place(high) - place(low))}%`;
  const dot = h("span", { class: "dot" });
  dot.style.left = `${place(value)}%`;
  return h("span", { class: "gauge" }, bar, dot);
}

function meter(share) {
  const bar = h("span", { class: "bar full" });
  bar.style.width = `${100 * share}%`;
  return h("span", { class: "gauge" }, bar);
}

function sentence(text) {
  const trimmed = String(text).trim();
  if (!trimmed) return "";
  const upper = trimmed[0].toUpperCase() + trimmed.slice(1);
  // A formula at the start keeps its letters either way; they are upper case already.
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

function arrhenius(c, { axis, log }, width, points, measured, kinds, temp) {
  const x = (t) => 1000 / (t + ZERO_C);
  const xs = points.map((p) => x(p.temp_c));
  const hover = (p) => `${num(p.temp_c)} °C: ${conductivity(p.conductivity_s_cm)} S/cm`;
  const edge = { type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  const here = pointAt(points, temp);
  const data = [
    { ...edge, x: xs, y: points.map((p) => p.conductivity_lo) },
    { ...edge, x: xs, y: points.map((p) => p.conductivity_hi), fill: "tonexty", fillcolor: c.band, name: "90 % interval", showlegend: true },
    { type: "scatter", mode: "lines", x: xs, y: points.map((p) => p.conductivity_s_cm), line: { color: c.accent, width: 2.5 }, name: "predicted",
      text: points.map(hover), hovertemplate: "%{text}<extra></extra>" },
    ...kinds.map((kind, i) => {
      const rows = measured.filter((m) => (m.conductivity_kind || "unspecified") === kind);
      return {
        type: "scatter", mode: "markers", x: rows.map((m) => x(m.temp_c)), y: rows.map((m) => m.conductivity_s_cm), customdata: rows.map((m) => m.sample_id),
        name: `measured, ${kind === "unspecified" ? "kind not stated" : words(kind)}`,
        marker: { symbol: SYMBOLS[i], size: 9, color: c.series[i + 1], line: { color: c.surface, width: 1 } },
        text: rows.map((m) => [`<b>${label(m.formula)}</b>`, `${num(m.temp_c)} °C: ${conductivity(m.conductivity_s_cm)} S/cm`, lines(m.processing), lines(m.citation)].join("<br>")),
        hovertemplate: "%{text}<extra></extra>",
      };
    }),
    { type: "scatter", mode: "markers", x: [x(here.temp_c)], y: [here.conductivity_s_cm], marker: { symbol: "circle", size: 11, color: c.surface, line: { color: c.accent, width: 3 } },
      name: `at ${num(temp)} °C`, text: [hover(here)], hovertemplate: "%{text}<extra></extra>" },
    // The upper axis is drawn only where a trace uses it.
    { type: "scatter", mode: "markers", x: [xs[0]], y: [points[0].conductivity_s_cm], xaxis: "x2", marker: { opacity: 0 }, hoverinfo: "skip", showlegend: false },
  ];
  const range = [Math.min(...xs) - 0.03, Math.max(...xs) + 0.03];
  const all = width < 480 ? [-200, -100, -50, 0, 60, 150, 300, 1000] : [-200, -150, -100, -50, -25, 0, 25, 60, 100, 150, 200, 300, 400, 600, 1000];
  const marks = all.filter((t) => x(t) >= range[0] && x(t) <= range[1]);
  return {
    data,
    layout: {
      margin: { l: 64, r: 16, t: 48, b: 48 },
      xaxis: { ...axis, range, title: { ...axis.title, text: "1000 / T (K⁻¹)" } },
      xaxis2: { ...axis, range, overlaying: "x", side: "top", tickvals: marks.map(x), ticktext: marks.map((t) => String(t).replace("-", "−")),
        showgrid: false, title: { ...axis.title, text: "T (°C)", standoff: 4 } },
      yaxis: { ...logAxis(log, [...points.flatMap((p) => [p.conductivity_lo, p.conductivity_hi]), ...measured.map((m) => m.conductivity_s_cm)], sci), title: { ...axis.title, text: "σ (S/cm)" } },
    },
  };
}

/** Return the point of the line at a temperature: between two points log(σT) is straight over 1/T. */
function pointAt(points, temp) {
  const after = Math.max(1, points.findIndex((p) => p.temp_c >= temp));
  const [a, b] = [points[after - 1], points[after]];
  const inverse = (t) => 1 / (t + ZERO_C);
  const log = (p) => Math.log(p.conductivity_s_cm * (p.temp_c + ZERO_C));
  const share = (inverse(temp) - inverse(a.temp_c)) / (inverse(b.temp_c) - inverse(a.temp_c));
  return { temp_c: temp, conductivity_s_cm: Math.exp(log(a) + share * (log(b) - log(a))) / (temp + ZERO_C) };
}

const MEASURES = {
  log_sigma: { unit: "decades", decimals: 2, of: "log σ at 25 °C" },
  ea_ev: { unit: "eV", decimals: 3, of: "activation energy" },
  log_strength: { unit: "decades", decimals: 2, of: "log strength" },
};

function contributionTable(answer, measure) {
  const { unit, decimals, of } = MEASURES[measure];
  const most = Math.max(...answer.contributions.map((c) => Math.abs(c[measure])), 1e-9);
  const total = answer.contributions.reduce((sum, c) => sum + c[measure], 0);
  const start = answer.background[measure];
  const base = measure === "ea_ev" ? `${fixed(start, 2)} eV` : `${sci(10 ** start)} ${measure === "log_sigma" ? "S/cm" : "MPa"}`.replace(/^(\S+)(?= MPa)/, num(10 ** start, 2));
  const rows = [...answer.contributions].sort((a, b) => Math.abs(b[measure]) - Math.abs(a[measure]));
  return [
    table([
      { head: "Input", cell: (c) => c.group },
      { head: "Here", cell: (c) => formula(c.given) },
      { head: "", kind: "barcell", cell: (c) => signedBar(c[measure], most, measure === "ea_ev") },
      { head: unit, kind: "n", cell: (c) => signed(c[measure], decimals) },
    ], rows, `${of}: ${signed(total, decimals)} ${unit} in all, counted from ${base}, the mean of ${answer.background.name}.`),
    h("p", { class: "hint" }, measure === "ea_ev" ? "A lower activation energy is better." : "One decade is a factor of ten.",
      measure === "log_sigma" ? ` The draw of ${answer.background.n_samples} background samples leaves each number uncertain by ${fixed(Math.max(...answer.contributions.map((c) => c.log_sigma_error)), 2)} decades or less.` : ""),
  ];
}

function signedBar(value, most, isLowerBetter) {
  const bar = h("span", { class: (value < 0) === isLowerBetter ? "up" : "down" });
  const width = 50 * (Math.abs(value) / most);
  bar.style.width = `${width}%`;
  bar.style.left = value < 0 ? `${50 - width}%` : "50%";
  return h("span", { class: "signed", "aria-hidden": "true" }, bar);
}

function changes(list, view) {
  if (!list.length) return h("p", { class: "empty" }, "No single change was found that the rules allow.");
  const now = view.formulaField.value;
  const open = (c) => h("a", { class: "open", href: linkTo("predict", { ...view.values(), formula: c.formula }) }, "open");
  return table([
    { head: "Change", cell: (c) => [prose(c.change), c.formula !== now ? [" ", open(c)] : null,
      c.in_domain ? null : h("span", { class: "sub warnword" }, `outside the domain: ${c.domain_note}`)] },
    { head: "Decades", kind: "n", cell: (c) => signed(c.gain_decades) },
    { head: "σ (S/cm), 90 %", kind: "n", cell: (c) => [conductivity(c.conductivity_s_cm), h("span", { class: "sub" }, `${conductivity(c.conductivity_lo)} to ${conductivity(c.conductivity_hi)}`)] },
  ], list, "", "stack");
}

function nearest(list) {
  if (!list.length) return h("p", { class: "empty" }, "Nothing measured is near this composition.");
  const made = (n) => [phaseWord(n.phase), n.sinter_temp_c === null ? "" : `sintered at ${num(n.sinter_temp_c)} °C`, n.heat_temp_c === null ? "" : `heated at ${num(n.heat_temp_c)} °C`,
    n.rel_density_pct === null ? "" : `${num(n.rel_density_pct)} % dense`].filter(Boolean).join(", ");
  return h("ol", { class: "cards" }, list.map((n) => h("li", {},
    h("p", { class: "row between" }, h("b", {}, formula(n.formula)), recordButton(n.sample_id)),
    h("p", { class: "muted" }, made(n) || "processing not stated"),
    h("p", {}, [n.conductivity_s_cm === null ? "" : `${conductivity(n.conductivity_s_cm)} S/cm${n.meas_temp_c === null ? "" : ` at ${num(n.meas_temp_c)} °C`}${n.conductivity_kind && n.conductivity_kind !== "unspecified" ? ` (${words(n.conductivity_kind)})` : ""}`,
      n.ea_ev === null ? "" : `${fixed(n.ea_ev, 2)} eV`, n.strength_mpa === null ? "" : `${num(n.strength_mpa)} MPa`].filter(Boolean).join(" · ")),
    h("p", { class: "citation" }, prose(n.citation)))));
}
