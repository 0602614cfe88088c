// Building the page from nodes. Text only ever becomes a text node, so that text from outside cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element with properties and children; a child is a node, a text, a number, a list of these, or nothing. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) set(node, name, value);
  node.append(...flat(children));
  return node;
}

/** Return an SVG element. */
export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...flat(children));
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
  else if (name === "data") Object.assign(node.dataset, value);
  else if (name === "value" || name === "checked" || name === "disabled") node[name] = value;
  else node.setAttribute(name, value === true ? "" : value);
}

function flat(children) {
  return children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false)
    .map((c) => (c instanceof Node ? c : String(c)));
}

/** Put children in the place of what a node holds. */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

let count = 0;

/** Return an id that no other element has. */
export function newId(stem) {
  count += 1;
  return `${stem}-${count}`;
}

/** Tell people who listen to the page. */
export function announce(text) {
  const live = document.getElementById("live");
  live.textContent = "";
  // A text that is set anew at once is not read out a second time.
  setTimeout(() => { live.textContent = text; }, 30);
}

/** Return a notice; the kinds are info, good, warn, bad. */
export function notice(kind, ...children) {
  return h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, ...children);
}

/** Return a notice for an error, its lines kept (a filter's caret stands under the fault). */
export function failure(error, retry = null) {
  const text = error.message || String(error);
  const body = text.includes("\n") ? h("pre", { tabindex: "0" }, text) : h("p", {}, text);
  const again = retry && h("button", { type: "button", on: { click: retry } }, "Try again");
  return notice("bad", body, again);
}

/** Return what stands where something is still coming. */
export function waiting(text) {
  return h("p", { class: "waiting" }, h("span", { class: "spinner", "aria-hidden": "true" }), text);
}

/** Return a function that runs another once calls have paused. */
export function debounced(milliseconds, work) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
}

/** Return a function that runs work one at a time: of the calls that come meanwhile only the last one runs. */
export function latest(work) {
  let isRunning = false;
  let next = null;
  const run = async (values) => {
    isRunning = true;
    try {
      await work(...values);
    } finally {
      isRunning = false;
      if (next) {
        const later = next;
        next = null;
        run(later);
      }
    }
  };
  return (...values) => {
    if (isRunning) next = values;
    else run(values);
  };
}

/** Open a dialog with a title; it closes by Escape, its button, or a click beside it. Returns the dialog. */
export function openDialog(title, content, { label = "Close", wide = false, onClose = null } = {}) {
  const id = newId("dialog");
  const dialog = h("dialog", { class: wide ? "wide" : null, "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title),
      h("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, label)),
    h("div", { class: "inside" }, content));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { dialog.remove(); if (onClose) onClose(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Copy a text, and say so. */
export async function copyText(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`${what} copied.`);
    return true;
  } catch {
    openDialog(`${what} to copy`, h("textarea", { rows: "8", readonly: true, "aria-label": what }, text));
    return false;
  }
}

/** Give a text to the browser as a file. */
export function saveText(text, name, kind) {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
