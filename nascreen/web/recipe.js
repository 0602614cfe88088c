// The sheet for the balance and the furnace: recipes of a batch with empty cells, printed as it stands in the dialog.

import { post } from "./api.js";
import { bareUnit, propertyName, setting } from "./campaign.js";
import { table } from "./charts.js";
import { failure, fill, h, notice, openDialog, waiting } from "./dom.js";
import { TextField } from "./fields.js";
import { fixed, formula, num, prose, readNumber } from "./format.js";

const BALANCE_MG = 1;
const BALANCE_DECIMALS = 3;

/** Open the sheet of the experiments of a campaign. */
export function recipeSheet(campaign, experiments) {
  const inside = h("div", { class: "sheet" });
  const batch = new TextField("Batch of each sample (g)", () => {}, { placeholder: "10" });
  batch.value = "10";
  const print = h("button", { type: "button", class: "main", disabled: true, on: { click: () => window.print() } }, "Print");
  const make = async () => {
    const grams = readNumber(batch.value);
    if (!(grams > 0)) {
      fill(inside, notice("bad", h("p", {}, "The batch is not a mass above zero; write it like 10.")));
      return;
    }
    fill(inside, waiting("Balancing the precursors …"));
    print.disabled = true;
    const sheets = [];
    for (const one of experiments) sheets.push(await oneSheet(campaign, one, grams));
    fill(inside, h("header", { class: "sheet-head" }, h("h2", {}, campaign.name), h("p", {}, `${new Date().toISOString().slice(0, 10)} · made by: ______________________`)), sheets);
    print.disabled = false;
  };
  const form = h("form", { class: "row sheet-form", on: { submit: (event) => { event.preventDefault(); make(); } } },
    batch.node, h("button", { type: "submit" }, "Make sheet"), print);
  // A dialog lies above the page and cannot run over several sheets of paper; a copy of its content can.
  const paper = h("div", { class: "paper" });
  const lay = () => { fill(paper, inside.cloneNode(true)); document.body.append(paper); };
  const lift = () => paper.remove();
  addEventListener("beforeprint", lay);
  addEventListener("afterprint", lift);
  const onClose = () => {
    removeEventListener("beforeprint", lay);
    removeEventListener("afterprint", lift);
    lift();
  };
  openDialog("Recipe sheet", [form, inside], { wide: true, onClose });
  make();
}

async function oneSheet(campaign, one, grams) {
  const columns = campaign.columns.filter((c) => one.values[c.name] !== undefined && one.values[c.name] !== "");
  const name = columns.filter((c) => c.kind === "formula").map((c) => one.values[c.name])[0];
  const settings = columns.filter((c) => c.kind !== "formula").map((c) => setting(c.name, one.values[c.name]));
  return h("section", { class: "recipe" },
    h("h3", {}, `Sample ${one.id}: `, name ? formula(name) : one.words),
    settings.length ? h("p", {}, settings.join(" · ")) : null,
    name ? await weighings(name, grams) : h("p", { class: "muted" }, "No formula, hence no recipe."),
    h("dl", { class: "blanks" }, campaign.properties.map((p) => [h("dt", {}, propertyName(p)), h("dd", {}, `____________ ± ________ ${bareUnit(p)}`)]),
      h("dt", {}, "what was seen"), h("dd", {}, "________________________________")));
}

async function weighings(name, grams) {
  try {
    const recipe = await post("/v1/recipe", { formula: name, batch_g: grams, balance_mg: BALANCE_MG });
    const gases = Object.entries(recipe.gases || {});
    return [
      table([
        { head: "Precursor", cell: (w) => formula(w.precursor) }, { head: "Purity", kind: "n", cell: (w) => `${num(w.purity_pct, 4)} %` },
        { head: "Weigh (g)", kind: "n", cell: (w) => h("b", {}, fixed(w.weigh_g, BALANCE_DECIMALS)) }, { head: "Exact (g)", kind: "n", cell: (w) => fixed(w.exact_g, 5) },
        { head: "Weighed", kind: "n", cell: () => "__________" }, { head: "✓", cell: () => "☐" },
      ], recipe.weighings),
      h("p", { class: "small" },
        recipe.loss_pct ? [`Loses ${num(recipe.loss_pct, 3)} % on firing`, gases.map(([gas], i) => [i ? ", " : ": ", formula(gas)]), ". "] : null,
        recipe.weighed_formula ? ["The rounded masses make ", formula(recipe.weighed_formula), ". "] : null),
      recipe.hazards?.length ? h("p", { class: "small hazards" }, h("b", {}, "Mind: "), prose(recipe.hazards.join("; "))) : null,
    ];
  } catch (error) {
    return failure(error);
  }
}
