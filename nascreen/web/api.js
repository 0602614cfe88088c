// Asking the service. Every error becomes an ApiError whose message is the sentence of the service.

import { h, openDialog } from "./dom.js";

const KEY = "nascreen-token";

/** An answer that is none, in words. */
export class ApiError extends Error {
  constructor(status, detail, errors = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

/** Return the token of this tab; it goes with the tab. */
function token() {
  try {
    return sessionStorage.getItem(KEY) || "";
  } catch {
    return "";
  }
}

function keep(text) {
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch { /* without storage the token is asked for again */ }
}

/** Return an address with its query; what is empty is left out, a list repeats its name. */
export function address(path, query = {}) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") given.append(name, String(one));
    }
  }
  const text = given.toString();
  return text ? `${path}?${text}` : path;
}

/** Ask for an address and return the answer as values. */
export async function get(path, query = {}, options = {}) {
  return (await ask("GET", address(path, query), undefined, options)).json();
}

/** Send values to an address and return the answer as values. */
export async function post(path, body, query = {}, options = {}) {
  return (await ask("POST", address(path, query), body, options)).json();
}

/** Send the bytes of a file as what they are and return the answer as values. */
export async function postFile(path, bytes, kind, query = {}, options = {}) {
  return (await ask("POST", address(path, query), new Blob([bytes], { type: kind }), options)).json();
}

/** Ask for a file; returns its bytes as a Blob. */
export async function getFile(path, query = {}) {
  return (await ask("GET", address(path, query))).blob();
}

async function ask(method, where, body, { signal } = {}) {
  for (let isFirst = true; ; isFirst = false) {
    const used = token();
    const response = await send(method, where, body, signal, used);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status !== 401) throw error;
    // Another request may have got a token while this one was under way.
    if (isFirst && token() !== used) continue;
    await newToken(error.message, Boolean(used));
  }
}

async function send(method, where, body, signal, used) {
  const headers = { Accept: "application/json" };
  const isFile = body instanceof Blob;
  if (body !== undefined) headers["Content-Type"] = isFile ? body.type : "application/json";
  if (used) headers.Authorization = `Bearer ${used}`;
  try {
    return await fetch(where, {
      method, headers, signal, body: isFile || body === undefined ? body : JSON.stringify(body), credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The service does not answer; is nascreen serve still running, and the network there? What you typed is kept on this page.");
  }
}

async function errorOf(response) {
  try {
    const problem = await response.json();
    if (problem.detail) return new ApiError(response.status, problem.detail, problem.errors || []);
  } catch { /* not a problem of ours: the sentence below */ }
  return new ApiError(response.status, `The service answered ${response.status} without a reason; try again, then look into its log.`);
}

let asking = null;

/** Ask the person for a token, once for all requests that wait for one. */
function newToken(reason, wasRefused) {
  asking ??= tokenDialog(reason, wasRefused).finally(() => { asking = null; });
  return asking;
}

function tokenDialog(reason, wasRefused) {
  return new Promise((resolve, reject) => {
    let given = "";
    const field = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true });
    const form = h("form", {
      method: "dialog",
      on: { submit: (event) => { event.preventDefault(); given = field.value.trim(); if (given) dialog.close(); } },
    },
    wasRefused ? h("p", { class: "notice bad", role: "alert" }, reason) : null,
    h("p", {}, "This service is shared and asks for a token. Who runs it makes one with ", h("code", {}, "nascreen token new"),
      ". It is kept in this tab only, and forgotten when the tab closes."),
    h("label", { for: "token" }, "Token"), field,
    h("div", { class: "row end" }, h("button", { type: "submit", class: "main" }, "Use token")));
    const dialog = openDialog("Token needed", form, {
      label: "Cancel",
      onClose: () => {
        if (!given) {
          reject(new ApiError(401, `${reason} No token was given; reload the page to be asked again.`));
          return;
        }
        keep(given);
        resolve();
      },
    });
    field.focus();
  });
}
