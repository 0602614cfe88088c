// Plots. plotly.js is large, so it is fetched after the first paint; without it every number stays readable in tables.

import { fill, h, newId, notice, waiting } from "./dom.js";

let loading = null;

/** Fetch plotly.js once. */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = h("script", { src: "/web/plotly.min.js" });
    script.addEventListener("load", () => resolve(globalThis.Plotly));
    script.addEventListener("error", async () => { loading = null; reject(new Error(await whyMissing())); });
    document.head.append(script);
  });
  return loading;
}

async function whyMissing() {
  try {
    const response = await fetch("/web/plotly.min.js", { credentials: "omit" });
    return response.ok ? "plotly.js could not be run by this browser; all numbers are shown without plots."
      : (await response.json()).detail;
  } catch {
    return "plotly.js could not be fetched; all numbers are shown without plots. Reload the page to try again.";
  }
}

/** Return the colours of the page as it looks now. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: of("ink"), muted: of("muted"), line: of("line"), grid: of("grid"), surface: of("surface"), accent: of("accent"),
    band: of("band"), good: of("good"), bad: of("bad"), warn: of("warn"), faint: of("faint"),
    series: Array.from({ length: 10 }, (_, i) => of(`series-${i + 1}`)),
  };
}

/** The shapes of points, so that colour is never the only difference. */
export const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star", "pentagon", "hexagon"];

const isCoarse = () => matchMedia("(pointer: coarse)").matches;

function baseLayout(c) {
  const axis = {
    color: c.muted, gridcolor: c.grid, linecolor: c.line, zerolinecolor: c.line, tickcolor: c.line, ticks: "outside",
    ticklen: 4, showline: true, mirror: false, automargin: true, title: { standoff: 8, font: { size: 13, color: c.ink } },
    tickfont: { size: 12 }, exponentformat: "power",
  };
  // Plotly writes powers of ten a quarter larger than it is told.
  const log = { ...axis, type: "log", tickfont: { size: 10 } };
  return {
    axis, log,
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif", size: 12, color: c.ink },
      margin: { l: 56, r: 16, t: 16, b: 48 }, hovermode: "closest",
      hoverlabel: { bgcolor: c.surface, bordercolor: c.line, font: { color: c.ink, size: 12 }, align: "left" },
      legend: { orientation: "h", x: 0, xanchor: "left", y: -0.22, yanchor: "top", font: { size: 12 }, itemwidth: 30 },
      // One finger on a phone moves the page, not the axes.
      dragmode: isCoarse() ? false : "zoom",
    },
  };
}

/** Escape a text from outside for plotly's labels, which read some tags. */
export function label(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Return a long label in lines. */
export function lines(text, width = 46) {
  const rows = [""];
  for (const word of String(text).split(/\s+/)) {
    const row = rows[rows.length - 1];
    if (row && row.length + word.length > width) rows.push(word);
    else rows[rows.length - 1] = row ? `${row} ${word}` : word;
  }
  return rows.map((row) => label(row.length > 80 ? `${row.slice(0, 79)}…` : row)).join("<br>");
}

const TICKS = [[1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]];

/**
 * Return a logarithmic axis for values: a tick a decade, finer ones where they span less than two, and a plain axis
 * where they span so little that its ticks are round.
 * @param show writes a tick.
 */
export function logAxis(log, values, show) {
  const positive = values.filter((v) => v > 0);
  const [low, high] = [Math.log10(Math.min(...positive)), Math.log10(Math.max(...positive))];
  const span = high - low;
  if (span >= 2) return { ...log, dtick: span > 7 ? 2 : 1 };
  if (span < 0.5) {
    const [from, to] = [Math.min(...positive), Math.max(...positive)];
    const pad = Math.max(0.1 * (to - from), 0.15 * to);
    return { ...log, type: "linear", range: [from - pad, to + pad], tickfont: { size: 12 } };
  }
  const range = [low - 0.08 * span, high + 0.08 * span];
  const within = (mantissas) => {
    const found = [];
    for (let k = Math.floor(range[0]); k <= Math.ceil(range[1]); k += 1) found.push(...mantissas.map((m) => Number(`${m}e${k}`)));
    return found.filter((v) => Math.log10(v) >= range[0] && Math.log10(v) <= range[1]);
  };
  const ticks = TICKS.map(within).find((found) => found.length > 2) || within(TICKS[1]);
  return { ...log, range, tickvals: ticks, ticktext: ticks.map(show), tickfont: { size: 12 } };
}

/** A plot with its name in words, a picture to save, and its numbers as a table. */
export class Chart {
  /**
   * @param {{title: string, name: string, height?: number}} options name is that of the saved picture.
   */
  constructor({ title, name, height = 340 }) {
    this.name = name;
    this.height = height;
    this.draw = null;
    this.handlers = {};
    const id = newId("chart");
    this.area = h("div", { class: "plot", role: "img", "aria-label": title }, waiting("Loading the plot …"));
    this.area.style.height = `${height}px`;
    this.save = h("button", { type: "button", class: "plain small", on: { click: () => this.picture() } }, "Save PNG");
    this.table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}: numbers` });
    this.numbers = h("details", { class: "numbers" }, h("summary", {}, "Numbers"), this.table);
    this.title = h("h3", { id }, title);
    this.node = h("figure", { class: "chart", "aria-labelledby": id },
      h("figcaption", {}, this.title, this.save), this.area, this.numbers);
    this.makeTable = null;
    this.numbers.addEventListener("toggle", () => this.fillTable());
    document.addEventListener("themechange", () => this.render());
  }

  /**
   * Show something else.
   * @param draw makes {data, layout} from (colours, {axis, log}, width); axis and log hold what such axes share.
   * @param words says in a sentence what is to be seen.
   * @param makeTable makes the table of the numbers.
   */
  show(draw, words, makeTable) {
    this.draw = draw;
    this.toggle(true);
    this.makeTable = makeTable;
    this.area.setAttribute("aria-label", words);
    this.fillTable();
    return this.render();
  }

  /** Say why there is nothing to see. */
  empty(text) {
    this.draw = null;
    if (globalThis.Plotly && this.area.classList.contains("js-plotly-plot")) globalThis.Plotly.purge(this.area);
    this.area.classList.remove("js-plotly-plot");
    this.area.style.height = "auto";
    this.toggle(false);
    fill(this.area, h("p", { class: "empty" }, text));
    this.area.setAttribute("aria-label", text);
    fill(this.table);
  }

  toggle(isShown) {
    this.save.hidden = !isShown;
    this.numbers.hidden = !isShown;
  }

  fillTable() {
    if (this.numbers.open && this.makeTable) fill(this.table, this.makeTable());
  }

  async render() {
    if (!this.draw) return;
    let library;
    try {
      library = await plotly();
    } catch (error) {
      fill(this.area, notice("info", h("p", {}, error.message)));
      this.area.style.height = "auto";
      this.numbers.open = true;
      return;
    }
    if (!this.draw) return;
    const c = colours();
    const { axis, log, layout } = baseLayout(c);
    const width = this.area.clientWidth;
    const made = this.draw(c, { axis, log }, width);
    const height = this.height + (width < 480 ? 40 : 0);
    this.area.style.height = `${height}px`;
    const isNew = !this.area.classList.contains("js-plotly-plot");
    if (isNew) fill(this.area);
    await library.react(this.area, made.data, { ...layout, ...made.layout, height },
      { displayModeBar: false, responsive: true, doubleClick: "reset", scrollZoom: false });
    if (isNew) for (const [event, handler] of Object.entries(this.handlers)) this.area.on(event, handler);
  }

  /** Call a handler at an event of plotly, such as plotly_click. */
  on(event, handler) {
    this.handlers[event] = handler;
    return this;
  }

  async picture() {
    try {
      const library = await plotly();
      await library.downloadImage(this.area, { format: "png", width: 1000, height: 640, scale: 2, filename: this.name });
    } catch { /* the plot's place says what is missing */ }
  }
}

/**
 * Return a table. Columns are {head, cell(row), kind?}; kind "n" is a number.
 * A table of kind "stack" becomes cards on a phone; the roles keep it a table for those who listen.
 */
export function table(columns, rows, caption = "", kind = null) {
  const role = (name) => (kind === "stack" ? { role: name } : {});
  return h("table", { class: kind, ...role("table") },
    caption ? h("caption", {}, caption) : null,
    h("thead", role("rowgroup"), h("tr", role("row"), columns.map((c) => h("th", { scope: "col", class: c.kind, ...role("columnheader") }, c.head)))),
    h("tbody", role("rowgroup"), rows.map((row) => h("tr", role("row"),
      columns.map((c) => h("td", { class: c.kind, data: { head: c.label || c.head }, ...role("cell") }, kind === "stack" ? h("div", {}, c.cell(row)) : c.cell(row)))))));
}
