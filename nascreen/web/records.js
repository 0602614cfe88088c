// The citation card of a measured sample, opened from every view.

import { get } from "./api.js";
import { copyText, failure, fill, h, openDialog, waiting } from "./dom.js";
import { conductivity, doiLink, familyWord, formula, num, prose, words } from "./format.js";
import { linkTo } from "./state.js";
import { NUMBERS, SAMPLE_NAMES } from "./fields.js";

/** Open the card of a measured sample. */
export async function openRecord(id, onClose = null) {
  const inside = h("div", { class: "card-inside" }, waiting("Reading the record …"));
  const dialog = openDialog(`Sample ${id}`, inside, { wide: true, onClose });
  try {
    fill(inside, card(await get(`/v1/data/records/${encodeURIComponent(id)}`), dialog));
  } catch (error) {
    fill(inside, failure(error));
  }
}

/** Return a button that opens the card of a measured sample. */
export function recordButton(id, text = id) {
  return h("button", { type: "button", class: "link", on: { click: () => openRecord(id) } }, text);
}

const HIDDEN = new Set(["sample_id", "formula", "title", "first_author", "journal", "year", "doi", "paper_id", "group_id", "source_url",
  "name", "processing", "citation", "source_kind"]);

function card(answer, dialog) {
  const { record } = answer;
  const entries = Object.entries(record).filter(([name, value]) => !HIDDEN.has(name) && value !== null && value !== "");
  return [
    h("p", { class: "lead" }, formula(answer.name || record.formula || record.sample_id)),
    answer.processing ? h("p", { class: "muted" }, answer.processing) : null,
    h("p", { class: "citation" }, prose(answer.citation)),
    answer.doi_links?.length && !answer.citation.includes("doi:") ? h("p", {}, answer.doi_links.map((one) => [doiOf(one), " "])) : null,
    h("dl", { class: "facts" }, entries.map(([name, value]) => [h("dt", {}, heading(name)), h("dd", {}, shownValue(name, value))])),
    decisions(answer.decisions),
    h("p", { class: "muted small" }, `Table: ${answer.table}. Licence: ${answer.licence}.`),
    h("div", { class: "row" },
      record.formula ? h("a", { class: "button main", href: predictLink(record), on: { click: () => dialog.close() } }, "Predict this sample") : null,
      answer.bibtex ? h("button", { type: "button", on: { click: () => copyText(answer.bibtex, "BibTeX entry") } }, "Copy BibTeX") : null),
    answer.card?.length ? h("details", {}, h("summary", {}, "The record as printed, with its source in the text"),
      h("pre", { class: "scroll", tabindex: "0" }, answer.card.join("\n"))) : null,
  ];
}

function doiOf(one) {
  const doi = String(typeof one === "string" ? one : one.doi || one.url || "").replace(/^https?:\/\/(dx\.)?doi\.org\//, "");
  return doi.startsWith("10.") ? doiLink(doi) : doi;
}

function decisions(list) {
  if (!list?.length) return null;
  return [h("h3", {}, "Decided in review"), h("ul", { class: "sentences" }, list.map((one) =>
    h("li", {}, `${words(one.verdict)}${one.column ? ` ${words(one.column)}` : ""}${one.value ? ` to ${one.value}` : ""}: ${one.reason}`)))];
}

const UNITS = [["_s_cm", "S/cm"], ["_mpa_m05", "MPa·m^0.5"], ["_g_cm3", "g/cm³"], ["_mpa", "MPa"], ["_gpa", "GPa"], ["_wt_pct", "wt%"],
  ["_mol_pct", "mol%"], ["_pct", "%"], ["_c", "°C"], ["_h", "h"], ["_ev", "eV"]];

function split(name) {
  const found = UNITS.find(([end]) => name.endsWith(end));
  return found ? [name.slice(0, -found[0].length), found[1]] : [name, ""];
}

function heading(name) {
  return NUMBERS[name]?.title.toLowerCase() || words(split(name)[0]);
}

function shownValue(name, value) {
  const [, unit] = split(name);
  if (name === "family") return familyWord(value);
  const text = typeof value === "number" ? (name === "year" ? String(value) : unit === "S/cm" ? conductivity(value) : num(value, 5)) : /^[a-z_0-9]+$/.test(value) ? words(value) : value;
  return unit ? `${text} ${unit}` : text;
}

/** Return the link that opens a row in Predict. */
export function predictLink(row, names = SAMPLE_NAMES) {
  const values = {};
  for (const name of names) {
    if (row[name] !== undefined && row[name] !== null && row[name] !== "") values[name] = row[name];
  }
  if (values.conductivity_kind === "unspecified") delete values.conductivity_kind;
  return linkTo("predict", values);
}
