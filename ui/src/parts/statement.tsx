/** A statement as it would run, with what is dangerous in it marked. */

import { Button } from "@mantine/core";
import { useMemo, useState } from "react";
import { bytes, number } from "../lib/format";
import { PAINTED_CHARS_MAX, type Piece, paint, plain } from "../lib/paint";
import { inWords, type Marks } from "../lib/words";
import { Copy } from "./basics";

function Painted({ pieces }: { pieces: Piece[] }) {
  return pieces.map((piece, place) => {
    if (piece.kind === "hidden") {
      return (
        <mark key={place} className="hidden" title="a character that hides, or turns text around">
          {piece.text}
        </mark>
      );
    }
    if (piece.isDangerous) {
      return (
        <mark key={place} className="danger">
          {piece.text}
        </mark>
      );
    }
    return piece.kind ? (
      <span key={place} className={piece.kind}>
        {piece.text}
      </span>
    ) : (
      piece.text
    );
  });
}

interface Shown {
  text: string;
  /** Whether it is SQL; anything else is shown without colours. */
  isSql: boolean;
  marks?: Marks;
  isFlat?: boolean;
  label?: string;
}

export function Statement({ text, isSql, marks, isFlat, label = "Statement" }: Shown) {
  const [isWhole, setWhole] = useState(false);
  const isLong = text.length > PAINTED_CHARS_MAX;
  const pieces = useMemo(
    () => (isSql ? paint(text, marks) : plain(text.slice(0, PAINTED_CHARS_MAX))),
    [text, isSql, marks],
  );
  return (
    <div className="stack">
      <pre
        role="group"
        className={isFlat ? "statement flat" : "statement"}
        tabIndex={isFlat ? undefined : 0}
        aria-label={label}
      >
        <Painted pieces={pieces} />
        {isLong && isWhole ? text.slice(PAINTED_CHARS_MAX) : null}
      </pre>
      {isLong ? (
        <div className="row small">
          <strong>
            {isWhole
              ? `All of ${bytes(text.length)} is shown; colours end at ${number(PAINTED_CHARS_MAX)} characters.`
              : `This is the beginning of ${bytes(text.length)}.`}
          </strong>
          <Button size="compact-xs" variant="default" onClick={() => setWhole(!isWhole)}>
            {isWhole ? "Show the beginning" : "Show all"}
          </Button>
          <Copy value={text} label="Copy the whole statement" />
        </div>
      ) : null}
    </div>
  );
}

/** So many of the things that an operation wants are said at first: the weightiest. */
const WORDS_AT_FIRST = 8;

/** What an operation wants, in words, the weightiest first. */
export function Accesses({ accesses, facts }: { accesses: string[]; facts?: Record<string, unknown> }) {
  const words = useMemo(() => inWords(accesses, facts), [accesses, facts]);
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? words : words.slice(0, WORDS_AT_FIRST);
  return (
    <ul className="words">
      {shown.map((word) => (
        <li key={`${word.verb} ${word.object}`} data-weight={word.weight}>
          <i aria-hidden="true" />
          <span>
            {word.verb} <strong>{word.object}</strong>
            {word.warning ? (
              <>
                , <em>{word.warning}</em>
              </>
            ) : null}
          </span>
        </li>
      ))}
      {words.length > shown.length ? (
        <li>
          <span />
          <span>
            <Button size="compact-xs" variant="default" onClick={() => setWhole(true)}>
              and {number(words.length - shown.length)} more
            </Button>
          </span>
        </li>
      ) : null}
    </ul>
  );
}
