// A new campaign: its candidates, from a space or from the rows that people bring along, and what is wanted of them.

import { get, post, postFile } from "./api.js";
import { table } from "./charts.js";
import { debounced, failure, fill, h, newId, waiting } from "./dom.js";
import { ChoiceField, ListField, TextField } from "./fields.js";
import { bytesOf, isWorkbook, nameOf, TABLES, XLSX } from "./files.js";
import { counted, formula, num, prose, readNumber } from "./format.js";
import { author, keepAuthor } from "./state.js";

const OBJECTIVES = [["log_conductivity", "conductivity"], ["strength_mpa", "strength"], ["ea_ev", "activation energy"]];
const BY_WORDS = new Map(OBJECTIVES.map(([name, words]) => [words, name]));
const UNITS = { log_conductivity: "S/cm", strength_mpa: "MPa", ea_ev: "eV" };
const MODES = [["max", "highest"], ["min", "lowest"], ["target", "near a target"]];
const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const PROPERTY = /^[A-Za-z_]\w{0,79}$/;
const MOST_TEXT = 2_000_000;
const READ_PAUSE_MS = 400;
const FAILURE = "failure";

/** What a column may be read as; a label is kept and shown, and nothing is learned from it. */
const KINDS = { numeric: "number", categorical: "one of several texts", formula: "formula", label: "kept, not learned from" };
const ALLOWED = { numeric: ["numeric", "categorical", "label"], categorical: ["categorical", "formula", "label"], formula: ["formula", "categorical", "label"], label: ["label", "formula"] };

/** A fault of one field. */
class FieldError extends Error {
  constructor(field, text) {
    super(text);
    this.field = field;
  }
}

/** Return bytes as text, or say why they are none. */
function textOf(bytes, name) {
  const [first, second] = bytes;
  const kind = first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(kind, { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`The file “${name}” is not UTF-8 text; save it as “CSV UTF-8”, or copy the cells and paste them below.`);
  }
}

/** Rows as pasted or chosen, and what the service reads in them. */
class RowsField {
  constructor(onRead) {
    this.onRead = onRead;
    this.read = null;
    this.round = 0;
    this.kinds = new Map();
    const soon = debounced(READ_PAUSE_MS, () => this.ask());
    this.text = new TextField("Your rows", () => { this.forget(); soon(); }, {
      multiline: true, rows: "6", class: "code", wrap: "off",
      placeholder: "formula,sinter_temp_c,route,density (%)\nNa3Zr2Si2PO12,1100,ball mill,91.5\nNa3.4Zr2Si2.4P0.6O12,1150,sol gel,",
      hint: "Cells pasted from a spreadsheet, or CSV. The first line names the columns, each row is a candidate; a column of what is wanted may hold results measured so far.",
    });
    const id = newId("file");
    this.file = h("input", { type: "file", id, accept: TABLES, on: { click: () => { this.file.value = ""; }, change: () => this.chosen() } }); // the same file, corrected, is a choice too
    this.preview = h("div", { class: "rows-read", "aria-live": "polite" });
    this.node = h("div", { class: "rows-field" }, h("div", { class: "field" }, h("label", { for: id }, "A file (Excel or CSV)"), this.file), this.text.node, this.preview);
  }

  get value() {
    return this.text.input.value;
  }

  /** What was read is of a text that stands there no longer. */
  forget() {
    this.round += 1;
    this.read = null;
    this.text.complain("");
    fill(this.preview, this.value.trim() ? waiting("Reading …") : null);
    this.onRead();
  }

  async chosen() {
    const [file] = this.file.files;
    if (!file) return;
    this.text.input.value = "";
    this.forget();
    const { round } = this;
    fill(this.preview, waiting(`Reading “${nameOf(file)}” …`));
    try {
      const bytes = await bytesOf(file);
      if (isWorkbook(bytes)) await this.askWorkbook(bytes, round);
      else if (round === this.round) {
        this.text.input.value = textOf(bytes, nameOf(file));
        this.forget();
        await this.ask();
      }
    } catch (error) {
      if (round !== this.round) return;
      fill(this.preview);
      this.text.complain(error.message);
    }
  }

  /** Put the text that is read in a workbook where people see it and may change it. */
  async askWorkbook(bytes, round) {
    const found = await postFile("/v1/candidates", bytes, XLSX);
    if (round !== this.round) return;
    this.text.input.value = found.csv;
    this.took(found);
  }

  took(found) {
    this.read = found;
    this.kinds = new Map(found.columns.map((column) => [column.name, column.kind]));
    this.onRead();
  }

  async ask() {
    const { round } = this;
    if (!this.value.trim()) return;
    if (JSON.stringify(this.value).length > MOST_TEXT) {
      fill(this.preview);
      this.text.complain(`The rows have more than ${MOST_TEXT / 1e6} million characters; leave out rows or columns.`);
      return;
    }
    try {
      const found = await post("/v1/candidates", { csv: this.value });
      if (round === this.round) this.took(found);
    } catch (error) {
      if (round !== this.round) return;
      fill(this.preview);
      this.text.complain(error.message);
    }
  }

  /** Return the column that a text names; undefined where it names none. */
  column(text) {
    return this.read?.columns.find((c) => [c.heading, c.name, c.told_as].includes(text));
  }

  /** Show what was read; columns of these properties are results. */
  draw(properties) {
    if (!this.read) return;
    const isResult = (c) => properties.includes(c.told_as) || properties.includes(c.name);
    const role = (c) => (c.name.toLowerCase() === FAILURE ? "why a sample failed" : isResult(c) ? "results" : "");
    const { n_rows: n, columns, notes } = this.read;
    fill(this.preview,
      h("p", { class: "read-count" }, h("b", {}, `${counted(n, "row")}, ${counted(columns.length, "column")}`), " read:"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Columns read" }, table([
        { head: "Column", cell: (c) => [h("b", {}, c.heading), c.name === c.heading ? null : h("span", { class: "sub" }, `as ${c.name}`)] },
        { head: "Read as", cell: (c) => (role(c) ? h("span", { class: "goodword" }, role(c)) : this.kindOf(c)) },
        { head: "Holds", cell: (c) => holds(c) },
        { head: "Filled", kind: "n", cell: (c) => (c.n_known === n ? "all" : `${c.n_known} of ${n}`) },
      ], columns, "", "stack")),
      notes.length ? h("ul", { class: "sentences small" }, notes.map((line) => h("li", {}, line))) : null);
  }

  kindOf(column) {
    const select = h("select", { "aria-label": `Column ${column.heading} is read as`, on: { change: () => this.kinds.set(column.name, select.value) } },
      ALLOWED[column.kind].map((kind) => { const o = h("option", {}, KINDS[kind]); o.value = kind; return o; }));
    select.value = this.kinds.get(column.name);
    return select;
  }

  focus() {
    this.text.focus();
  }
}

function holds(column) {
  if (!column.n_known) return h("span", { class: "muted" }, "nothing");
  if (column.low !== null) return column.low === column.high ? `${num(column.low, 5)} throughout` : `${num(column.low, 5)} to ${num(column.high, 5)}`;
  const more = column.n_distinct - column.examples.length;
  const write = (text) => (column.kind === "formula" ? formula(text) : text.length > 40 ? `${text.slice(0, 39)}…` : text);
  return [column.examples.flatMap((text, i) => [i ? ", " : "", write(text)]), more > 0 ? ` and ${more} more` : ""];
}

/** A property: one of a list where the candidates come from a space, a column or a name where they are own rows. */
class PropertyField {
  constructor(title, choices, list, onChange, placeholder) {
    this.list = new ListField(title, choices, onChange);
    this.text = new TextField(title, onChange, { placeholder, list, maxlength: "100" });
    this.hint = h("p", { class: "hint" });
    this.own = false;
    this.slot = h("div", {}, this.list.node);
    this.node = h("div", { class: "property-field" }, this.slot, this.hint);
  }

  /** Take names of columns, or what the models predict; the field that has the focus keeps it. */
  turn(isOwn) {
    if (isOwn === this.own) return;
    this.own = isOwn;
    fill(this.slot, this.control.node);
  }

  get control() {
    return this.own ? this.text : this.list;
  }

  /** Return the property; "" where none is named. */
  property(rows) {
    const { value } = this.control;
    if (!this.own || !value) return value;
    return rows.column(value)?.told_as || BY_WORDS.get(value.toLowerCase()) || value;
  }

  /** Say what the rows hold of it. */
  say(rows) {
    const { value } = this.control;
    const column = this.own && value && rows.column(value);
    const n = rows.read?.n_rows;
    const left = n - (column?.n_known || 0);
    fill(this.hint, !this.own || !value || !rows.read ? null
      : !column ? "No column of your rows: its results are typed as they come."
        : !column.n_known ? "The column is empty: its results are typed as they come."
          : `${counted(column.n_known, "row")} of ${n} ${column.n_known === 1 ? "has" : "have"} a result, told at once; ${left ? `${counted(left, "row")} ${left === 1 ? "is" : "are"} still to be measured` : "none is left to be measured"}.`);
  }

  complain(text) {
    this.control.complain(text);
  }

  focus() {
    this.control.focus();
  }
}

/** The form of a new campaign. */
export class NewCampaign {
  constructor(done) {
    const text = (title, options) => new TextField(title, () => {}, options);
    const follow = () => this.follow();
    this.offer = h("datalist", { id: newId("columns") });
    const wanted = (title, choices, placeholder) => new PropertyField(title, choices, this.offer.id, follow, placeholder);
    this.rows = new RowsField(follow);
    this.fields = {
      name: text("Name", { placeholder: "nzsp-2027", hint: "a–z, 0–9, - and _; it stays." }),
      source: new ChoiceField("Candidates", [["space", "from a space"], ["rows", "my own rows"]], follow),
      space: new ListField("Candidates from the space", [["", "reading the spaces …"]], follow),
      n: text("How many candidates", { placeholder: "usual number" }),
      property: wanted("Wanted", OBJECTIVES, "a column"), mode: new ListField("How", MODES, follow), target: text("Target"),
      second: wanted("Also wanted", [["", "nothing else"], ...OBJECTIVES], "nothing else"), secondMode: new ListField("How", MODES.slice(0, 2), () => {}),
      limited: wanted("Must hold", [["", "no bound"], ...OBJECTIVES], "no bound"), least: text("At least"), most: text("At most"),
      shared: text("The same in a batch", { placeholder: "such as sinter_temp_c", hint: "Columns, such as one furnace setting per batch." }),
      distinct: text("Different in a batch", { placeholder: "such as formula" }), seed: text("Seed", { placeholder: "0" }), author: text("Your name", { placeholder: "optional" }),
    };
    this.fields.author.value = author();
    this.spaceTitle = h("p", { class: "hint" });
    this.fields.space.node.append(this.spaceTitle);
    const of = (...names) => h("div", { class: "grid" }, names.map((name) => this.fields[name].node));
    this.ofSpace = of("space", "n");
    this.prior = h("p", { class: "hint" });
    this.problem = h("div", {});
    this.button = h("button", { type: "submit", class: "main" }, "Make campaign");
    this.node = h("form", { class: "new-campaign", novalidate: true, on: { submit: (event) => { event.preventDefault(); this.make(done); } } }, this.problem,
      of("name", "author"), this.fields.source.node, this.ofSpace, this.rows.node, this.offer,
      of("property", "mode", "target"), of("second", "secondMode"), of("limited", "least", "most"),
      h("details", { class: "numbers" }, h("summary", {}, "Rules of a batch, seed"), of("shared", "distinct", "seed")),
      this.prior, h("div", { class: "row end" }, this.button));
    this.spaces = [];
    this.follow();
    this.readSpaces();
  }

  get isOwn() {
    return this.fields.source.value === "rows";
  }

  follow() {
    const { property, second, limited, mode, target, least, most } = this.fields;
    this.ofSpace.hidden = this.isOwn;
    this.rows.node.hidden = !this.isOwn;
    fill(this.spaceTitle, prose(this.spaces.find((s) => s.name === this.fields.space.value)?.title || ""));
    const columns = this.rows.read?.columns.filter((c) => c.kind === "numeric" || !c.n_known).map((c) => c.heading) || [];
    fill(this.offer, [...columns, ...BY_WORDS.keys()].map((value) => { const o = h("option"); o.value = value; return o; }));
    for (const field of [property, second, limited]) {
      field.turn(this.isOwn);
      field.say(this.rows);
    }
    const unit = (field) => { const name = field.property(this.rows); const own = UNITS[name] || this.rows.column(field.control.value)?.unit; return own ? `in ${own}` : "a number"; };
    target.node.hidden = mode.value !== "target";
    target.input.placeholder = unit(property);
    least.input.placeholder = most.input.placeholder = limited.control.value ? unit(limited) : "no bound";
    this.rows.draw([property, second, limited].map((field) => field.property(this.rows)).filter(Boolean));
    fill(this.prior, this.isOwn
      ? "Where your rows have a formula with sodium and conductivity, strength or activation energy is wanted, the measured literature is the starting point; otherwise the campaign learns from your results alone."
      : "The measured literature is the starting point of what the campaign expects. Conductivity is written in S/cm, strength in MPa, activation energy in eV.");
  }

  async readSpaces() {
    try {
      const { spaces } = await get("/v1/spaces");
      this.spaces = spaces;
      this.fields.space.offer(spaces.map((s) => [s.name, s.name]));
      this.fields.space.value = (spaces.find((s) => s.name === "nasicon") || spaces[0])?.name;
      this.follow();
    } catch (error) {
      fill(this.problem, failure(error, () => this.readSpaces()));
    }
  }

  number(field, title) {
    const value = readNumber(field.value);
    if (Number.isNaN(value)) throw new FieldError(field, `${title} is not a number; write it like 25 or 1e-4.`);
    return value;
  }

  /** Return a number as it is kept: conductivities by their logarithm. */
  kept(field, title, property) {
    const value = this.number(field, title);
    if (value === null || property !== "log_conductivity") return value;
    if (value <= 0) throw new FieldError(field, "A conductivity is above zero.");
    return Math.log10(value);
  }

  property(field, what) {
    const name = field.property(this.rows);
    if (!name) throw new FieldError(field, `Say what is ${what}: a column of your rows, conductivity, strength, activation energy, or another name.`);
    if (!PROPERTY.test(name)) throw new FieldError(field, `“${name.slice(0, 40)}” is no column of your rows; as a new name, allowed are letters, digits and _, beginning with a letter.`);
    return name;
  }

  pool() {
    if (!this.isOwn) return { space: this.fields.space.value };
    if (this.rows.preview.querySelector(".waiting")) throw new FieldError(this.rows, "The rows are still being read; press the button again in a moment.");
    if (!this.rows.value.trim()) throw new FieldError(this.rows, "Paste rows or choose a file; the first line names the columns.");
    if (!this.rows.read) throw new FieldError(this.rows, this.rows.text.wrong.textContent || "The rows are still being read; press the button again in a moment.");
    return { csv: this.rows.value };
  }

  body() {
    const f = this.fields;
    if (!NAME.test(f.name.value)) throw new FieldError(f.name, f.name.value ? `“${f.name.value.slice(0, 40)}” is no name here; allowed are 1 to 64 of a–z, 0–9, - and _, beginning with a letter or a digit.` : "The campaign needs a name.");
    const body = { name: f.name.value, pool: this.pool(), objectives: [{ property: this.property(f.property, "wanted"), mode: f.mode.value }] };
    if (f.mode.value === "target") {
      body.objectives[0].target = this.kept(f.target, "The target", body.objectives[0].property);
      if (body.objectives[0].target === null) throw new FieldError(f.target, "Type the target.");
    }
    if (f.second.property(this.rows)) {
      body.objectives.push({ property: this.property(f.second, "also wanted"), mode: f.secondMode.value });
      if (body.objectives[0].property === body.objectives[1].property) throw new FieldError(f.second, "It is wanted already; name another, or nothing.");
    }
    const limit = this.limit();
    if (limit) body.constraints = [limit];
    for (const [name, title] of [["n", "The number of candidates"], ["seed", "The seed"]]) {
      const value = this.isOwn && name === "n" ? null : this.number(f[name], title);
      if (value !== null && (!Number.isInteger(value) || value < 0)) throw new FieldError(f[name], `${title} is not a whole number; write it like 200.`);
      if (value !== null) body[name] = value;
    }
    for (const name of ["shared", "distinct"]) {
      const list = f[name].value.split(this.isOwn ? /\s*[,;]\s*/ : /[\s,;]+/).filter(Boolean).map((text) => (this.isOwn && this.rows.column(text)?.name) || text);
      if (list.length) body[name] = list;
    }
    if (this.isOwn) this.addOwn(body);
    if (f.author.value) body.author = f.author.value;
    keepAuthor(f.author.value);
    return body;
  }

  limit() {
    const { limited, least, most } = this.fields;
    if (!limited.property(this.rows)) {
      const filled = [least, most].find((field) => field.value);
      if (filled) throw new FieldError(limited, "Say what must hold the bound, or leave the bound empty.");
      return null;
    }
    const limit = { property: this.property(limited, "to be held") };
    const [low, high] = [this.kept(least, "The lower bound", limit.property), this.kept(most, "The upper bound", limit.property)];
    if (low === null && high === null) throw new FieldError(least, "Type a lower or an upper bound, or name nothing that must hold.");
    if (low !== null) limit.at_least = low;
    if (high !== null) limit.at_most = high;
    return limit;
  }

  /** Add what is known of own rows: as what columns are read, and the units of their results. */
  addOwn(body) {
    const names = [...body.objectives, ...(body.constraints || [])].map((one) => one.property);
    const results = this.rows.read.columns.filter((c) => names.includes(c.told_as) || names.includes(c.name));
    body.kinds = Object.fromEntries([...this.rows.kinds].filter(([name]) => !results.some((c) => c.name === name)));
    const units = results.filter((c) => c.unit && names.includes(c.told_as)).map((c) => [c.told_as, c.unit]);
    if (units.length) body.units = Object.fromEntries(units);
  }

  complain(field, text) {
    (field === this.rows ? this.rows.text : field).complain(text);
    field.focus();
  }

  clear() {
    fill(this.problem);
    for (const field of Object.values(this.fields)) field.complain?.("");
    if (this.rows.read) this.rows.text.complain("");
  }

  /** Say a refusal of the service where it belongs. */
  refused(error) {
    const where = error.errors?.[0]?.where || "";
    const field = error.status === 409 || where === "name" ? this.fields.name : { n: this.fields.n, seed: this.fields.seed, author: this.fields.author }[where];
    if (field) {
      this.complain(field, error.message);
      return;
    }
    fill(this.problem, failure(error));
    this.problem.scrollIntoView({ block: "nearest" });
  }

  async make(done) {
    this.clear();
    this.button.disabled = true;
    fill(this.button, this.isOwn ? "Making the campaign …" : "Drawing candidates …");
    try {
      done(await post("/v1/campaigns", this.body()));
    } catch (error) {
      if (error instanceof FieldError) this.complain(error.field, error.message);
      else this.refused(error);
    } finally {
      this.button.disabled = false;
      fill(this.button, "Make campaign");
    }
  }
}
