/** Shows where in a text stands what was looked for. */

import { oneLine } from "./format";

/** So many characters before what was found are shown. */
const BEFORE = 80;

/** A text on one line, from shortly before what was looked for. */
export function around(text: string, wanted: string | undefined): string {
  const line = oneLine(text, Number.POSITIVE_INFINITY);
  const place = wanted ? line.toLowerCase().indexOf(wanted.toLowerCase()) : -1;
  const from = place - BEFORE;
  return oneLine(from > 0 ? `… ${line.slice(from)}` : line);
}

export interface Piece {
  text: string;
  isFound: boolean;
}

/** A text cut up where what was looked for stands. */
export function pieces(text: string, wanted: string | undefined): Piece[] {
  if (!wanted) return [{ text, isFound: false }];
  const [low, sought] = [text.toLowerCase(), wanted.toLowerCase()];
  const found: Piece[] = [];
  let from = 0;
  // Where small letters are of another length than large ones, places do not match, and nothing is marked.
  while (low.length === text.length) {
    const place = low.indexOf(sought, from);
    if (place < 0) break;
    if (place > from) found.push({ text: text.slice(from, place), isFound: false });
    from = place + sought.length;
    found.push({ text: text.slice(place, from), isFound: true });
  }
  if (from < text.length) found.push({ text: text.slice(from), isFound: false });
  return found;
}
