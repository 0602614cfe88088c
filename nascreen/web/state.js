// What a view shows stands in the address after #, so that a link reproduces it: #predict?formula=Na3PS4&phase=glass

export const VIEWS = ["predict", "explore", "rank", "campaign"];
const last = new Map();

/** Return view and parameters of the address. */
export function readAddress() {
  const text = location.hash.slice(1);
  const [name, query = ""] = text.split(/\?(.*)/s);
  return { view: VIEWS.includes(name) ? name : "predict", params: new URLSearchParams(query) };
}

/** Return the link to a view with parameters; what is empty is left out. */
export function linkTo(view, values = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "" && one !== false) params.append(name, String(one));
    }
  }
  const text = params.toString();
  return `#${view}${text ? `?${text}` : ""}`;
}

/** Write what a view shows into the address, without a new entry in the history. */
export function keepState(view, values) {
  const link = linkTo(view, values);
  last.set(view, link);
  const tab = document.querySelector(`#views a[data-view="${view}"]`);
  if (tab) tab.setAttribute("href", link);
  if (readAddress().view === view && location.hash !== link) history.replaceState(null, "", link);
}

const AUTHOR = "nascreen-author";

/** Return who works here, as said before in this tab. */
export function author() {
  try {
    return sessionStorage.getItem(AUTHOR) || "";
  } catch {
    return "";
  }
}

/** Remember who works here, as long as the tab is open. */
export function keepAuthor(name) {
  try {
    sessionStorage.setItem(AUTHOR, name);
  } catch { /* then it is typed again */ }
}

/** Go to a view as a new entry in the history. */
export function go(view, values) {
  location.hash = linkTo(view, values);
}
