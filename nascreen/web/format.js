// Numbers, formulas and citations for people.

import { h } from "./dom.js";

const MINUS = "−";
const SUPER = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Return 0.00012 as 1.2×10⁻⁴. */
export function sci(value, digits = 2) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = String(Number(exponent)).replace(/./g, (c) => SUPER[c]);
  return `${mantissa.replace("-", MINUS)}×10${power}`;
}

/** Return a number with so many digits that count; very small and large ones as powers of ten. */
export function num(value, digits = 3) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return sci(value, digits);
  const text = String(Number(value.toPrecision(digits)));
  const [whole, part] = text.replace("-", "").split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
  return (value < 0 ? MINUS : "") + grouped + (part ? `.${part}` : "");
}

/** Return a number with a fixed count of decimals. */
export function fixed(value, decimals) {
  return isNumber(value) ? value.toFixed(decimals).replace("-", MINUS) : "–";
}

/** Return a difference with its sign. */
export function signed(value, decimals = 2) {
  if (!isNumber(value)) return "–";
  const text = Math.abs(value).toFixed(decimals);
  return Number(text) === 0 ? text : (value < 0 ? MINUS : "+") + text;
}

/** Return a probability in per cent; 0 and 100 are never claimed. */
export function percent(value) {
  if (!isNumber(value)) return "–";
  if (value < 0.01) return "< 1 %";
  if (value > 0.99) return "> 99 %";
  return `${Math.round(100 * value)} %`;
}

/** Return a conductivity with its power of ten. */
export const conductivity = (value) => sci(value, 2);

/** Return the words for a whole of some things. */
export function counted(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en").replaceAll(",", "\u202f")} ${n === 1 ? one : many}`;
}

/** Return a formula as nodes, its amounts as subscripts. */
export function formula(text) {
  const nodes = [];
  let end = 0;
  for (const found of String(text).matchAll(/([A-Z][a-z]?|[)\]])(\d+(?:\.\d+)?)/g)) {
    nodes.push(text.slice(end, found.index + found[1].length), h("sub", {}, found[2]));
    end = found.index + found[0].length;
  }
  nodes.push(String(text).slice(end));
  return h("span", { class: "formula" }, nodes);
}

/** Return prose as nodes: addresses of texts become links, small numbers powers of ten, formulas get subscripts. */
export function prose(text) {
  const pattern = /doi:(10\.[^\s,;|]*[^\s,;|.)])|(?<![\w.]|\w-)(-?\d+(?:\.\d+)?e[+-]?\d{1,2})\b|\b((?:[A-Z][a-z]?\d*(?:\.\d+)?|[([]|[)\]]\d*(?:\.\d+)?){2,})(?![a-z])/g;
  const nodes = [];
  let end = 0;
  for (const found of String(text).matchAll(pattern)) {
    const node = proseNode(found);
    if (node === null) continue;
    nodes.push(text.slice(end, found.index), node);
    end = found.index + found[0].length;
  }
  nodes.push(String(text).slice(end));
  return nodes.map((node) => (typeof node === "string" ? node.replace(/(?<=^|[\s(])-(?=\d)/g, MINUS) : node));
}

function proseNode([, doi, small, material]) {
  if (doi) return doiLink(doi);
  if (small) return sci(Number(small), Math.max(2, small.split("e")[0].replace(/\D/g, "").length));
  return /\d/.test(material) && /[A-Z].*[A-Z]|[A-Z][a-z]\d|[A-Z]\d/.test(material) ? formula(material) : null;
}

/** Return a link to a text. */
export function doiLink(doi) {
  return h("a", { href: `https://doi.org/${encodeURI(doi)}`, rel: "noreferrer noopener", target: "_blank" }, `doi:${doi}`);
}

/** Return a phase as a word. */
export function phaseWord(phase) {
  return String(phase || "").replaceAll("_", "-");
}

const FAMILIES = { nasicon: "NASICON", beta_alumina: "β-alumina", thiosilicate_germanate: "thiosilicate or thiogermanate", nitride_phosphide: "nitride or phosphide" };

/** Return a family of electrolytes in words. */
export function familyWord(family) {
  return FAMILIES[family] || words(family) || "not stated";
}

/** Return a name of a column or family as words. */
export function words(name) {
  return String(name || "").replaceAll("_", " ");
}

/**
 * Read a number as people write it: 25, 0.5, 1e-4, 1.2×10⁻⁴.
 * Returns null for an empty text, NaN where it is no number.
 */
export function readNumber(text) {
  const plain = String(text).trim().replaceAll(MINUS, "-").replaceAll("\u202f", "")
    .replace(/[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+/g, (run) => [...run].map((c) => Object.keys(SUPER).find((k) => SUPER[k] === c)).join(""))
    .replace(/^(.*?)\s*[×x*]\s*10\^?(-?\d+)$/, "$1e$2");
  if (!plain) return null;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i.test(plain) ? Number(plain) : Number.NaN;
}
