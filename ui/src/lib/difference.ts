/** What lines of a text became others. */

import { structuredPatch } from "diff";

export interface Line {
  sign: "+" | "-" | " " | "…";
  text: string;
}

/** So many lines are shown around what changed. */
const CONTEXT_LINES = 3;

export function difference(was: string, is: string): Line[] {
  const { hunks } = structuredPatch("", "", was, is, undefined, undefined, { context: CONTEXT_LINES });
  return hunks.flatMap((hunk, place): Line[] => {
    const lines = hunk.lines
      .filter((line) => !line.startsWith("\\"))
      .map((line) => ({ sign: line.slice(0, 1) as Line["sign"], text: line.slice(1) }));
    return place > 0 ? [{ sign: "…", text: "" }, ...lines] : lines;
  });
}
