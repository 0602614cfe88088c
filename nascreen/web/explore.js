// Explore: the measured data as linked plots. A box drawn in one plot marks the same samples in all of them.

import { get } from "./api.js";
import { Chart, SYMBOLS, label, lines, logAxis, table } from "./charts.js";
import { announce, debounced, failure, fill, h, latest, svg, waiting } from "./dom.js";
import { ChoiceField, ListField, PHASES, TextField } from "./fields.js";
import { conductivity, counted, familyWord, fixed, formula, num, phaseWord, prose } from "./format.js";
import { openRecord, predictLink, recordButton } from "./records.js";
import { go, keepState } from "./state.js";

const STEP = 40;
const N_COLOURS = 8;

const porosity = (p) => p.porosity_pct ?? (p.density_pct === null ? null : 100 - p.density_pct);
const SIGMA = { title: "σ near 25 °C (S/cm)", of: (p) => p.conductivity_s_cm, isLog: true, show: conductivity };

/** The linked plots: what each axis shows of a point. */
const PLOTS = {
  ea: { title: "Activation energy and conductivity", x: SIGMA, y: { title: "Ea (eV)", of: (p) => p.ea_ev, show: (v) => fixed(v, 2) } },
  sinter: { title: "Conductivity and sintering temperature", x: { title: "sintering temperature (°C)", of: (p) => p.sinter_temp_c, show: num }, y: SIGMA },
  na2s: { title: "Conductivity and Na₂S fraction", x: { title: "Na₂S in the batch (mole fraction)", of: (p) => p.na2s_fraction, show: (v) => fixed(v, 2) }, y: SIGMA },
  pores: { title: "Conductivity and porosity", x: { title: "porosity (%), or 100 − relative density", of: porosity, show: num }, y: SIGMA },
};

const FILTERS = [
  ["phosphorus and silicon", 'elements HAS ALL "P","Si"'],
  ["above 10⁻³ S/cm", "conductivity_s_cm > 1e-3"],
  ["sintered below 1100 °C", "sinter_temp_c < 1100"],
  ["founding papers", 'paper_id = "epoxy-nasicon-2020" OR doi = "10.1039/d0ma00777c"'],
];

/** Make the view inside its section. */
export function makeView(section) {
  return new ExploreView(section);
}

class ExploreView {
  constructor(section) {
    this.points = [];
    this.families = new Set();
    this.box = null;
    this.open = "";
    this.nListed = STEP;
    this.asked = null;
    this.drag = "select";
    const changed = debounced(400, () => this.changed());
    this.filter = new TextField("Filter on any column, in the OPTIMADE grammar", changed, {
      placeholder: 'elements HAS "Sc" AND year > 2020', class: "code", maxlength: "2000",
    });
    this.phase = new ListField("Phase", [["", "all"], ...PHASES.slice(1)], () => this.changed());
    this.legend = h("div", { class: "legend", role: "group", "aria-label": "Families" });
    this.count = h("p", { class: "count", role: "status" });
    this.clearBox = h("button", { type: "button", class: "small", hidden: true, on: { click: () => this.select(null) } }, "Clear selection");
    this.dragging = new ChoiceField("Dragging", [["select", "selects"], ["zoom", "zooms"]], (field) => { this.drag = field.value; this.renderAll(); });
    // Where fingers point, dragging moves the page.
    this.dragging.node.hidden = matchMedia("(pointer: coarse)").matches;
    this.problem = h("div", {});
    this.charts = Object.fromEntries(Object.entries(PLOTS).map(([name, plot]) => [name, this.makeChart(name, plot)]));
    this.list = h("div", { class: "panel list" });
    this.ask = latest(() => this.fetch());
    fill(section, h("h1", { class: "unseen" }, "Measured data"),
      h("div", { class: "panel bar" }, h("div", { class: "fields" }, this.filter.node, this.phase.node), this.examples(), this.legend),
      this.problem, h("div", { class: "row between status" }, this.count, h("span", { class: "row" }, this.clearBox, this.dragging.node)),
      h("div", { class: "plots" }, Object.values(this.charts).map((c) => h("div", { class: "panel" }, c.node))), this.list);
  }

  examples() {
    return h("p", { class: "chips", "aria-label": "Example filters" }, FILTERS.map(([words, text]) =>
      h("button", { type: "button", class: "chip", on: { click: () => { this.filter.value = text; this.changed(); } } }, words)));
  }

  makeChart(name, plot) {
    return new Chart({ title: plot.title, name: `nascreen-${name}`, height: 320 })
      .on("plotly_click", (event) => { const id = event.points[0]?.customdata; if (id) this.showRecord(id); })
      .on("plotly_selected", (event) => this.boxed(name, event))
      .on("plotly_deselect", () => this.select(null));
  }

  /** Show what an address says. */
  show(params) {
    this.filter.value = params.get("filter");
    this.phase.value = params.get("phase");
    this.families = new Set((params.get("family") || "").split(",").filter(Boolean));
    this.box = readBox(params.get("box"));
    this.ask();
    const id = params.get("id");
    if (id && id !== this.open) this.showRecord(id);
  }

  state() {
    return { filter: this.filter.value, phase: this.phase.value, family: [...this.families].join(","), box: this.box ? writeBox(this.box) : "", id: this.open };
  }

  keep() {
    keepState("explore", this.state());
  }

  changed() {
    this.nListed = STEP;
    this.keep();
    this.ask();
  }

  async fetch() {
    const text = this.filter.value;
    if (this.asked === text) {
      this.draw();
      return;
    }
    if (this.asked === null) fill(this.list, waiting("Reading the data …"));
    try {
      const answer = await get("/v1/data/charts", { filter: text });
      this.asked = text;
      this.points = answer.points;
      this.all = answer.families;
      fill(this.problem);
      this.draw();
    } catch (error) {
      this.asked = undefined;
      this.points = [];
      fill(this.problem, failure(error));
      this.draw();
    }
  }

  /** Return the points that filter, family and phase leave. */
  shown() {
    const phase = this.phase.value;
    return this.points.filter((p) => (!phase || p.phase === phase) && (!this.families.size || this.families.has(p.family)));
  }

  selected(points) {
    if (!this.box) return null;
    const { x, y } = PLOTS[this.box.plot];
    const [x0, x1, y0, y1] = this.box.range;
    const inside = (v, low, high) => v !== null && v >= low && v <= high;
    return new Set(points.filter((p) => inside(x.of(p), x0, x1) && inside(y.of(p), y0, y1)).map((p) => p.sample_id));
  }

  boxed(name, event) {
    if (!event?.range) return;
    this.select({ plot: name, range: [...event.range.x.slice().sort((a, b) => a - b), ...event.range.y.slice().sort((a, b) => a - b)] });
  }

  select(box) {
    if (!box && !this.box) return;
    this.box = box;
    this.nListed = STEP;
    this.keep();
    this.draw();
    const n = this.selected(this.shown())?.size;
    announce(box ? `${counted(n, "sample")} selected.` : "Selection cleared.");
  }

  renderAll() {
    for (const chart of Object.values(this.charts)) chart.render();
  }

  showRecord(id) {
    this.open = id;
    this.keep();
    openRecord(id, () => { this.open = ""; this.keep(); });
  }

  /** Return the families by number of points, with colour and symbol each. */
  styles() {
    return new Map(Object.keys(this.all || {}).map((name, i) => [name, { colour: i < N_COLOURS ? i : 9, symbol: SYMBOLS[i % SYMBOLS.length] }]));
  }

  draw() {
    const points = this.shown();
    const chosen = this.selected(points);
    this.clearBox.hidden = !chosen;
    const ofAll = points.length === this.points.length ? "" : ` of ${this.points.length}`;
    fill(this.count, `${points.length}${ofAll} samples measured at 15 to 35 °C`, chosen ? `, ${chosen.size} selected` : "", ". Ringed: the two founding papers.");
    this.drawLegend();
    const styles = this.styles();
    for (const [name, plot] of Object.entries(PLOTS)) this.drawPlot(this.charts[name], plot, points, chosen, styles);
    this.drawList(chosen ? points.filter((p) => chosen.has(p.sample_id)) : points);
  }

  drawLegend() {
    const styles = this.styles();
    const held = document.activeElement?.dataset?.family;
    fill(this.legend, [...styles].map(([name, style]) => h("button", {
      type: "button", class: "chip family", "aria-pressed": String(this.families.has(name)), data: { family: name },
      on: { click: () => this.toggle(name) },
    }, mark(style), familyWord(name), h("span", { class: "muted" }, ` ${this.points.filter((p) => p.family === name).length}`))),
    this.families.size ? h("button", { type: "button", class: "plain small", on: { click: () => { this.families.clear(); this.changed(); } } }, "All families") : null);
    if (held) [...this.legend.children].find((b) => b.dataset.family === held)?.focus();
  }

  toggle(name) {
    if (this.families.has(name)) this.families.delete(name);
    else this.families.add(name);
    this.changed();
  }

  drawPlot(chart, plot, points, chosen, styles) {
    const usable = points.filter((p) => plot.x.of(p) !== null && plot.y.of(p) !== null);
    if (!usable.length) {
      chart.empty("None of these samples states both quantities.");
      return;
    }
    const words = `${plot.title}: ${counted(usable.length, "sample")}${chosen ? `, ${usable.filter((p) => chosen.has(p.sample_id)).length} of them selected` : ""}. Each is listed below with its citation.`;
    chart.show((c, axes) => figure(c, axes, plot, usable, chosen, styles, this.drag), words, () => table([
      { head: "Sample", cell: (p) => recordButton(p.sample_id) }, { head: "Formula", cell: (p) => formula(p.formula) },
      { head: plot.x.title, kind: "n", cell: (p) => plot.x.show(plot.x.of(p)) }, { head: plot.y.title, kind: "n", cell: (p) => plot.y.show(plot.y.of(p)) },
    ], usable));
  }

  drawList(points) {
    const sorted = [...points].sort((a, b) => b.conductivity_s_cm - a.conductivity_s_cm);
    const part = sorted.slice(0, this.nListed);
    const more = sorted.length > part.length
      ? h("button", { type: "button", on: { click: () => { this.nListed += STEP; this.drawList(points); } } }, `Show more (${sorted.length - part.length} left)`) : null;
    fill(this.list, h("h2", {}, this.box ? "Selected samples" : "Samples"), sorted.length ? [
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Samples" }, sampleTable(part, (id) => this.showRecord(id))), more,
    ] : h("p", { class: "empty" }, this.box ? "The selection holds no sample." : "No sample passes; loosen the filter, or choose all families and phases."));
  }
}

function sampleTable(points, open) {
  return table([
    { head: "Formula", cell: (p) => [formula(p.name || p.formula), h("span", { class: "sub" }, [familyWord(p.family), phaseWord(p.phase)].filter(Boolean).join(", "))] },
    { head: "Processing", cell: (p) => p.processing || "not stated" },
    { head: "σ (S/cm)", kind: "n", cell: (p) => conductivity(p.conductivity_s_cm) },
    { head: "Ea (eV)", kind: "n", cell: (p) => fixed(p.ea_ev, 2) },
    { head: "Citation", cell: (p) => h("span", { class: "small" }, prose(p.citation)) },
    { head: "", cell: (p) => h("span", { class: "row nowrap" },
      h("button", { type: "button", class: "link", "aria-label": `Card of ${p.sample_id}`, on: { click: () => open(p.sample_id) } }, "card"),
      h("button", { type: "button", class: "link", "aria-label": `Predict ${p.formula}`, on: { click: () => predictOf(p) } }, "predict")) },
  ], points, "", "stack");
}

/** Open a sample in Predict with all that its record states. */
async function predictOf(point) {
  try {
    const { record } = await get(`/v1/data/records/${encodeURIComponent(point.sample_id)}`);
    location.hash = predictLink(record);
  } catch {
    go("predict", { formula: point.formula, phase: point.phase, sinter_temp_c: point.sinter_temp_c });
  }
}

/** Shapes of the marks in the legend, as the plots draw them. */
const SHAPES = {
  circle: "M6 1.2a4.8 4.8 0 1 0 .01 0z", square: "M1.8 1.8h8.4v8.4H1.8z", diamond: "M6 .6 11.4 6 6 11.4.6 6z", "triangle-up": "M6 1 11.6 10.6H.4z", "triangle-down": "M.4 1.4h11.2L6 11z",
  cross: "M4.2.8h3.6v3.4h3.4v3.6H7.8v3.4H4.2V7.8H.8V4.2h3.4z", x: "M3 .6 6 3.6l3-3L11.4 3l-3 3 3 3L9 11.4l-3-3-3 3L.6 9l3-3-3-3z",
  star: "M6 .4 7.5 4.3l4.1.2-3.2 2.6 1.1 4L6 8.8l-3.5 2.3 1.1-4L.4 4.5l4.1-.2z", pentagon: "M6 .8 11.5 4.8 9.4 11.2H2.6L.5 4.8z", hexagon: "M6 .6 10.7 3.3v5.4L6 11.4 1.3 8.7V3.3z",
};

function mark(style) {
  const shape = svg("svg", { class: "mark-shape", viewBox: "0 0 12 12", width: "12", height: "12", "aria-hidden": "true" }, svg("path", { d: SHAPES[style.symbol] }));
  shape.style.fill = `var(--series-${style.colour + 1})`;
  return shape;
}

function figure(c, { axis, log }, plot, points, chosen, styles, drag) {
  const names = [...styles.keys()].filter((name) => points.some((p) => p.family === name));
  const side = (spec) => ({ ...(spec.isLog ? logAxis(log, points.map(spec.of), spec.show) : axis), title: { ...axis.title, text: spec.title } });
  const data = names.map((name) => {
    const rows = points.filter((p) => p.family === name);
    const { colour, symbol } = styles.get(name);
    const at = chosen ? rows.flatMap((p, i) => (chosen.has(p.sample_id) ? [i] : [])) : null;
    return {
      type: "scatter", mode: "markers", x: rows.map(plot.x.of), y: rows.map(plot.y.of), customdata: rows.map((p) => p.sample_id), name: familyWord(name),
      marker: { color: c.series[colour], symbol, size: rows.map((p) => (p.is_founding ? 13 : 8)), opacity: 0.85,
        line: { width: rows.map((p) => (p.is_founding ? 2 : 0.5)), color: rows.map((p) => (p.is_founding ? c.ink : c.surface)) } },
      selectedpoints: at, selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 0.12 } },
      text: rows.map((p) => [`<b>${label(p.name || p.formula)}</b>`, `${label(plot.x.title)}: ${plot.x.show(plot.x.of(p))}`, `${label(plot.y.title)}: ${plot.y.show(plot.y.of(p))}`,
        lines(p.processing), lines(p.citation), p.is_founding ? "one of the two founding papers" : ""].filter(Boolean).join("<br>")),
      hovertemplate: "%{text}<extra></extra>",
    };
  });
  return {
    data,
    layout: {
      xaxis: side(plot.x), yaxis: side(plot.y), showlegend: false, margin: { l: 60, r: 12, t: 10, b: 46 }, selections: [],
      ...(matchMedia("(pointer: coarse)").matches ? {} : { dragmode: drag }),
    },
  };
}

function readBox(text) {
  const [plot, ...numbers] = (text || "").split(",");
  const range = numbers.map(Number);
  return PLOTS[plot] && range.length === 4 && range.every(Number.isFinite) ? { plot, range } : null;
}

function writeBox({ plot, range }) {
  return [plot, ...range.map((v) => Number(v.toPrecision(4)))].join(",");
}
