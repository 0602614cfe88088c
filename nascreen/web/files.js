// Files that people choose: their bytes, and what they are. Nothing is read of them here but how they begin.

import { num } from "./format.js";

export const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/** What a chooser of tables offers. */
export const TABLES = `.xlsx,.csv,.tsv,.txt,${XLSX},text/csv,text/plain`;

const MOST_BYTES = 2 * 1024 * 1024;
const BEGINNINGS = [[0x50, 0x4b, 0x03, 0x04], [0xd0, 0xcf, 0x11, 0xe0]];

/** Return the name of a file as it is said to people. */
export function nameOf(file) {
  return file.name.length > 60 ? `${file.name.slice(0, 59)}…` : file.name;
}

/** Return the bytes of a file, or say why it cannot be sent. */
export async function bytesOf(file) {
  if (file.size > MOST_BYTES) throw new Error(`The file “${nameOf(file)}” has ${num(file.size / 1e6, 2)} MB; allowed are 2 MB, so leave out rows or columns.`);
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Error(`The file “${nameOf(file)}” cannot be read; it may have been moved or saved anew, so choose it again.`);
  }
}

/** Return whether bytes begin as those of a workbook; an old or a protected one is such too, and refused by the service. */
export function isWorkbook(bytes) {
  return BEGINNINGS.some((beginning) => beginning.every((byte, i) => bytes[i] === byte));
}
