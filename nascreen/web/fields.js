// The inputs of a sample. Every one may be "not stated": then nothing is sent, and nothing is assumed for it here.

import { fill, h, newId } from "./dom.js";
import { num, readNumber } from "./format.js";

/** Numbers of a sample: what the slider spans; the service takes more, and says its limits. */
export const NUMBERS = {
  sinter_temp_c: { title: "Sintering temperature", unit: "°C", from: 400, to: 1500, step: 10, start: 1150 },
  sinter_time_h: { title: "Sintering time", unit: "h", from: 0, to: 48, step: 0.5, start: 12 },
  heat_temp_c: { title: "Heat-treatment temperature", unit: "°C", from: 50, to: 1000, step: 10, start: 200 },
  heat_time_h: { title: "Heat-treatment time", unit: "h", from: 0, to: 48, step: 0.5, start: 2 },
  rel_density_pct: { title: "Relative density", unit: "%", from: 50, to: 100, step: 0.5, start: 95 },
  porosity_pct: { title: "Porosity", unit: "%", from: 0, to: 50, step: 0.5, start: 5 },
  press_mpa: { title: "Pressing pressure", unit: "MPa", from: 10, to: 1000, step: 10, start: 300 },
  second_phase_wt_pct: { title: "Second phase, share", unit: "wt%", from: 0, to: 60, step: 0.5, start: 5 },
  meas_temp_c: { title: "Measuring temperature", unit: "°C", from: -40, to: 300, step: 5, start: 25 },
};

export const TEXTS = ["second_phase", "second_phase_role", "synthesis", "structure"];

export const PHASES = [["", "not stated"], ["crystalline", "crystalline"], ["glass", "glass"],
  ["glass_ceramic", "glass-ceramic"], ["composite", "composite"]];
export const KINDS = [["", "not stated"], ["total", "total"], ["bulk", "bulk"], ["grain_boundary", "grain boundary"]];
export const ROLES = [["", "not stated"], ["pore_filler", "pore filler"], ["matrix", "matrix"],
  ["sintering_aid", "sintering aid"], ["filler", "filler"], ["binder", "binder"], ["reinforcement", "reinforcement"], ["impurity", "impurity"]];

/** The parameters of a sample in an address. */
export const SAMPLE_NAMES = ["formula", "phase", ...Object.keys(NUMBERS), ...TEXTS, "conductivity_kind"];

/** A number with a slider. Its value is a number, null where it is not stated, NaN where what was typed is none. */
export class NumberField {
  constructor(name, onChange, spec = NUMBERS[name]) {
    this.name = name;
    this.spec = spec;
    this.onChange = onChange;
    const id = newId(name);
    this.box = h("input", {
      id, type: "text", class: "number", inputmode: spec.from < 0 ? "text" : "decimal", autocomplete: "off",
      spellcheck: "false", placeholder: "not stated", on: { input: () => this.typed() },
    });
    this.slider = h("input", {
      type: "range", min: spec.from, max: spec.to, step: spec.step, "aria-label": `${spec.title}, slider`,
      on: { input: () => this.slid(), pointerdown: () => this.grabbed(), keydown: (event) => this.keyed(event) },
    });
    this.clear = h("button", {
      type: "button", class: "clear", "aria-label": `${spec.title}: not stated`, title: "Not stated",
      on: { click: () => { this.value = null; this.box.focus(); onChange(this, "clear"); } },
    }, "×");
    this.wrong = h("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    this.node = h("div", { class: "field" },
      h("label", { for: id }, spec.title),
      h("span", { class: "entry" }, this.box, h("span", { class: "unit" }, spec.unit), this.clear),
      this.slider, this.wrong);
    this.value = null;
  }

  get value() {
    return readNumber(this.box.value);
  }

  set value(value) {
    this.box.value = value === null || value === undefined ? "" : String(value);
    this.follow();
  }

  follow() {
    const { value } = this;
    const isStated = value !== null;
    const isNumber = isStated && !Number.isNaN(value);
    this.node.classList.toggle("unstated", !isStated);
    this.clear.hidden = !isStated;
    this.slider.value = isNumber ? value : this.spec.start;
    this.slider.setAttribute("aria-valuetext", isNumber ? `${num(value, 6)} ${this.spec.unit}` : "not stated");
    const span = this.spec.to - this.spec.from;
    const share = isNumber ? (Math.min(Math.max(value, this.spec.from), this.spec.to) - this.spec.from) / span : 0;
    this.slider.style.setProperty("--share", `${100 * share}%`);
    this.complain(Number.isNaN(value) ? `“${this.box.value.slice(0, 20)}” is not a number; write it like 25 or 0.5.` : "");
  }

  complain(text) {
    complain(this.box, this.wrong, text);
  }

  typed() {
    this.follow();
    this.onChange(this, "typed");
  }

  slid() {
    this.box.value = String(Number(this.slider.value));
    this.follow();
    this.onChange(this, "slid");
  }

  /** A slider that is let go where it stood, or asked by Enter, states that value: it is what it shows. */
  grabbed() {
    if (this.value === null) setTimeout(() => { if (this.value === null) this.slid(); }, 0);
  }

  keyed(event) {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.slid(); }
    if (event.key === "Delete" || event.key === "Backspace") { this.value = null; this.onChange(this, "clear"); }
  }
}

/** A choice of few, as buttons of which one is down. */
export class ChoiceField {
  constructor(title, choices, onChange) {
    const group = newId("choice");
    this.inputs = choices.map(([value, words]) => {
      const input = h("input", { type: "radio", name: group, id: newId(group), on: { change: () => onChange(this, "chosen") } });
      input.value = value;
      return [input, words];
    });
    this.node = h("fieldset", { class: "choice" }, h("legend", {}, title),
      h("div", { class: "segments" }, this.inputs.map(([input, words]) => h("span", { class: "segment" }, input, h("label", { for: input.id }, words)))));
    this.value = choices[0][0];
  }

  get value() {
    return (this.inputs.find(([input]) => input.checked) || [{ value: "" }])[0].value;
  }

  set value(value) {
    for (const [input] of this.inputs) input.checked = input.value === (value || "");
  }
}

/** Say beside a control what is wrong with it; an empty text takes that back. */
function complain(control, wrong, text) {
  wrong.hidden = !text;
  fill(wrong, text);
  control.setAttribute("aria-invalid", text ? "true" : "false");
  const others = (control.getAttribute("aria-describedby") || "").split(" ").filter((id) => id && id !== wrong.id);
  const described = [...others, ...(text ? [wrong.id] : [])].join(" ");
  if (described) control.setAttribute("aria-describedby", described);
  else control.removeAttribute("aria-describedby");
}

/** A choice from a list; a value that the list lacks is added to it, so that a link keeps it. */
export class ListField {
  constructor(title, choices, onChange) {
    const id = newId("list");
    this.select = h("select", { id, on: { change: () => onChange(this, "chosen") } });
    this.choices = [];
    this.offer(choices);
    this.wrong = h("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    this.node = h("div", { class: "field" }, h("label", { for: id }, title), this.select, this.wrong);
  }

  complain(text) {
    complain(this.select, this.wrong, text);
  }

  focus() {
    this.select.focus();
  }

  offer(choices) {
    const { value } = this.select;
    this.choices = choices.map(([name]) => name);
    fill(this.select, choices.map(([name, words]) => { const o = h("option", {}, words); o.value = name; return o; }));
    if (value) this.value = value;
  }

  get value() {
    return this.select.value;
  }

  set value(value) {
    const text = value || (this.choices.includes("") ? "" : this.choices[0]);
    if (!this.choices.includes(text)) {
      const option = h("option", {}, text.replaceAll("_", " "));
      option.value = text;
      this.select.append(option);
      this.choices.push(text);
    }
    this.select.value = text;
  }
}

/** A text. */
export class TextField {
  constructor(title, onChange, { placeholder = "not stated", hint = "", multiline = false, ...rest } = {}) {
    const id = newId("text");
    this.input = h(multiline ? "textarea" : "input", {
      id, type: multiline ? null : "text", placeholder, autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      "aria-describedby": hint ? `${id}-hint` : null, on: { input: () => onChange(this, "typed") }, ...rest,
    });
    this.wrong = h("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    this.node = h("div", { class: "field text" }, h("label", { for: id }, title), this.input, this.wrong,
      hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null);
  }

  complain(text) {
    complain(this.input, this.wrong, text);
  }

  focus() {
    this.input.focus();
  }

  get value() {
    return this.input.value.trim();
  }

  set value(value) {
    this.input.value = value || "";
  }
}

/** Return the body of a sample for the service from what the fields hold; what is not stated is left out. */
export function sampleOf(values) {
  const body = {};
  for (const name of SAMPLE_NAMES) {
    const value = values[name];
    if (value !== null && value !== undefined && value !== "") body[name] = value;
  }
  return body;
}
