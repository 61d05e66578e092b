/** Cuts a statement into pieces that are shown in colours, with what is dangerous in it marked. */

import { PostgreSQL } from "@codemirror/lang-sql";
import { highlightCode, tagHighlighter, tags } from "@lezer/highlight";
import { HIDDEN, named } from "./hidden";
import type { Marks } from "./words";

export interface Piece {
  text: string;
  /** How it is shown. */
  kind: "" | "keyword" | "string" | "number" | "comment" | "name" | "hidden";
  isDangerous: boolean;
}

/** As much of a statement is painted; the rest is shown plainly. */
export const PAINTED_CHARS_MAX = 20_000;

const PAINT = tagHighlighter([
  { tag: [tags.keyword, tags.typeName, tags.bool, tags.null], class: "keyword" },
  { tag: [tags.string, tags.special(tags.string)], class: "string" },
  { tag: [tags.number], class: "number" },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], class: "comment" },
  { tag: [tags.name, tags.special(tags.name)], class: "name" },
]);

function shown(text: string, kind: Piece["kind"], isDangerous: boolean, pieces: Piece[]) {
  let plain = "";
  for (const char of text) {
    if (!HIDDEN.test(char)) {
      plain += char;
      continue;
    }
    if (plain) pieces.push({ text: plain, kind, isDangerous });
    plain = "";
    pieces.push({ text: named(char), kind: "hidden", isDangerous: true });
  }
  if (plain) pieces.push({ text: plain, kind, isDangerous });
}

/** A text that is no SQL: only what hides in it is shown. */
export function plain(text: string): Piece[] {
  const pieces: Piece[] = [];
  shown(text, "", false, pieces);
  return pieces;
}

export function paint(statement: string, marks?: Marks): Piece[] {
  const text = statement.slice(0, PAINTED_CHARS_MAX);
  const pieces: Piece[] = [];
  const put = (part: string, classes: string) => {
    const kind = classes.split(" ")[0] as Piece["kind"];
    const isKeyword = kind === "keyword" && marks?.keywords.has(part.toUpperCase());
    const isName =
      kind !== "string" && kind !== "comment" && marks?.names.has(part.replace(/^"|"$/g, "").toLowerCase());
    shown(part, kind, Boolean(isKeyword || isName), pieces);
  };
  highlightCode(text, PostgreSQL.language.parser.parse(text), PAINT, put, () => put("\n", ""));
  return pieces;
}
