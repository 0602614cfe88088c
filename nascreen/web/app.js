// The frame of the page: which view is shown, the look, the link, and what the service says of itself.

import { get } from "./api.js";
import { plotly } from "./charts.js";
import { announce, copyText, failure, fill, waiting } from "./dom.js";
import { makeView as makePredict } from "./predict.js";
import { VIEWS, readAddress } from "./state.js";

const TITLES = { predict: "Predict", explore: "Explore", rank: "Rank", campaign: "Campaign" };
const views = new Map();
let shown = "";

async function viewOf(name) {
  if (!views.has(name)) {
    const section = document.getElementById(name);
    if (name === "predict") {
      views.set(name, makePredict(section));
    } else {
      fill(section, waiting("Opening …"));
      const { makeView } = await import(`/web/${name}.js`);
      views.set(name, makeView(section));
    }
  }
  return views.get(name);
}

async function route() {
  const { view, params } = readAddress();
  for (const name of VIEWS) {
    document.getElementById(name).hidden = name !== view;
    const tab = document.querySelector(`#views a[data-view="${name}"]`);
    if (name === view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  document.title = `${TITLES[view]} · nascreen`;
  if (shown && shown !== view) {
    announce(`${TITLES[view]} is shown.`);
    scrollTo(0, 0);
  }
  shown = view;
  try {
    const made = await viewOf(view);
    if (readAddress().view === view) made.show(params);
    if (!performance.getEntriesByName("useful").length) performance.mark("useful");
  } catch (error) {
    views.delete(view);
    fill(document.getElementById(view), failure(error, route));
  }
}

const isDark = () => document.documentElement.dataset.theme === "dark";

function showTheme() {
  const button = document.getElementById("theme");
  fill(button, isDark() ? "Light" : "Dark");
  button.setAttribute("aria-label", isDark() ? "Light look" : "Dark look");
}

function switchTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("nascreen-theme", next);
  } catch { /* then the look holds for this page alone */ }
  document.dispatchEvent(new CustomEvent("themechange"));
}

async function showAbout() {
  try {
    const health = await get("/v1/health");
    const models = Object.entries(health.models).map(([name, hash]) => `${name} ${hash.slice(0, 8)}`).join(", ");
    fill(document.getElementById("about"), `nascreen ${health.version}; models ${models}.`,
      health.status === "degraded" ? ` Newer model files were refused: ${health.refused}` : "",
      " Predictions are for planning experiments, each with a 90 % interval; they do not replace a measurement.");
  } catch { /* the view says what is wrong */ }
}

addEventListener("hashchange", route);
document.getElementById("theme").addEventListener("click", switchTheme);
document.getElementById("copy-link").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  if (await copyText(location.href, "Link")) {
    fill(button, "Copied");
    setTimeout(() => fill(button, "Copy link"), 1500);
  }
});
document.addEventListener("themechange", showTheme);
showTheme();
route();
requestAnimationFrame(() => setTimeout(() => {
  showAbout();
  plotly().catch(() => { /* each plot's place says why */ });
}, 0));
