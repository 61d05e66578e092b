/** Cuts a statement into pieces that are shown in colours, with what is dangerous in it marked. */

import { PostgreSQL } from "@codemirror/lang-sql";
import { highlightCode, tagHighlighter, tags } from "@lezer/highlight";
import { HIDDEN, named } from "./hidden";
import type { Marks } from "./words";

export interface Piece {
  text: string;
  /** How it is shown. */
  kind: "" | "keyword" | "string" | "number" | "comment" | "name" | "hidden" | "folded";
  isDangerous: boolean;
}

/** As much of a statement is painted; the rest is shown plainly. */
export const PAINTED_CHARS_MAX = 20_000;

const PAINT = tagHighlighter([
  { tag: [tags.keyword, tags.bool, tags.null], class: "keyword" },
  { tag: [tags.string, tags.special(tags.string)], class: "string" },
  { tag: [tags.number], class: "number" },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], class: "comment" },
  { tag: [tags.name, tags.special(tags.name)], class: "name" },
]);

function shown(text: string, kind: Piece["kind"], isDangerous: boolean, pieces: Piece[]) {
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    if (found.index > from) pieces.push({ text: text.slice(from, found.index), kind, isDangerous });
    pieces.push({ text: named(found[0]), kind: "hidden", isDangerous: true });
    from = found.index + found[0].length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), kind, isDangerous });
}

/** Where a text is cut after at most so many characters, without cutting one in two. */
export function cut(text: string, length: number): number {
  const last = text.charCodeAt(length - 1);
  return text.length > length && last >= 0xd800 && last < 0xdc00 ? length - 1 : Math.min(length, text.length);
}

/** Words of the standard that PostgreSQL does not reserve, and that columns are called by. */
const NAMES = new Set(
  "id name type value status state level role user data key date time year month day hour minute second text count note tier content title language location owner source version".split(
    " ",
  ),
);

/** A text that is no SQL: only what hides in it is shown. */
export function plain(text: string): Piece[] {
  const pieces: Piece[] = [];
  shown(text, "", false, pieces);
  return folded(pieces);
}

/** So many empty lines may follow each other before they are folded: what is pushed out of sight is not read. */
const EMPTY_LINES_MAX = 2;

/** Says how many empty lines there are where there are many. */
function folded(pieces: Piece[]): Piece[] {
  const kept: Piece[] = [];
  let empty = 0;
  let held: Piece[] = [];
  const close = () => {
    if (empty > EMPTY_LINES_MAX + 1) {
      const text = `${empty - 1} empty lines`;
      kept.push({ text: "\n", kind: "", isDangerous: false }, { text, kind: "folded", isDangerous: false });
      kept.push({ text: "\n", kind: "", isDangerous: false });
    } else for (const piece of held) kept.push(piece);
    held = [];
    empty = 0;
  };
  for (const piece of pieces.flatMap(inLines)) {
    if (/^[ \t\n\r]*$/.test(piece.text) && piece.kind !== "string") {
      held.push(piece);
      empty += piece.text.split("\n").length - 1;
      continue;
    }
    close();
    kept.push(piece);
  }
  close();
  return together(kept);
}

/** White space between lines apart from what stands before and after it; it begins where a line ends. */
function inLines(piece: Piece): Piece[] {
  const parts = piece.text.split(/(\n[ \t\n]*)/).filter((text) => text !== "");
  return parts.map((text) => ({ ...piece, text }));
}

/** So many marks stand out by themselves; what they would say beyond that is said in brackets. */
export const MARKS_MAX = 2_000;

/**
 * What is shown plainly in one piece, however many lines it has: each piece is an element of the page, and a browser that is given
 * one for each of very many lines, or of very many hidden characters, answers nobody for a while.
 */
function together(pieces: Piece[]): Piece[] {
  const kept: Piece[] = [];
  let plain: string[] = [];
  let marks = 0;
  const close = () => {
    if (plain.length > 0) kept.push({ text: plain.join(""), kind: "", isDangerous: false });
    plain = [];
  };
  for (const piece of pieces) {
    const isMark = piece.kind === "hidden" || piece.kind === "folded";
    marks += Number(isMark);
    if (isMark && marks > MARKS_MAX) plain.push(`[${piece.text}]`);
    else if (piece.kind === "" && !piece.isDangerous) plain.push(piece.text);
    else {
      close();
      kept.push(piece);
    }
  }
  close();
  return kept;
}

export function paint(statement: string, marks?: Marks): Piece[] {
  const text = statement.slice(0, cut(statement, PAINTED_CHARS_MAX));
  const pieces: Piece[] = [];
  const put = (part: string, classes: string) => {
    const painted = classes.split(" ")[0] as Piece["kind"];
    // The reader takes for keywords what are names to nearly everybody.
    const kind = painted === "keyword" && NAMES.has(part.toLowerCase()) ? "name" : painted;
    const isKeyword = kind === "keyword" && marks?.keywords.has(part.toUpperCase());
    const isName =
      kind !== "string" && kind !== "comment" && marks?.names.has(part.replace(/^"|"$/g, "").toLowerCase());
    shown(part, kind, Boolean(isKeyword || isName), pieces);
  };
  // To PostgreSQL a carriage return ends a comment as well. The lengths are the same, so that the pieces are those of the text.
  const read = PostgreSQL.language.parser.parse(text.replaceAll("\r", "\n"));
  highlightCode(text, read, PAINT, put, () => put("\n", ""));
  return folded(pieces);
}
