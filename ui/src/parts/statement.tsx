/** A statement as it would run, with what is dangerous in it marked. */

import { Button } from "@mantine/core";
import { type ReactNode, useCallback, useLayoutEffect, useMemo, useRef, useState } from "react";
import { bytes, number, plural } from "../lib/format";
import { cut, PAINTED_CHARS_MAX, type Piece, paint, plain } from "../lib/paint";
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
    if (piece.kind === "folded") {
      return (
        <mark key={place} className="folded">
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

/** A text that others wrote: what hides in it is shown. */
export const Written = ({ text }: { text: string }) => <Painted pieces={plain(text)} />;

interface Shown {
  text: string;
  /** Whether it is SQL; anything else is shown without colours. */
  isSql: boolean;
  marks?: Marks;
  isFlat?: boolean;
  label?: string;
  /** Told once all of a long one is shown. */
  onWhole?: () => void;
}

/** So much of the end of a long statement is shown with its beginning. */
const END_CHARS = 2_000;

/** Whether a text is too long to be shown in whole without being asked for. */
export const isLong = (text: string) => text.length > PAINTED_CHARS_MAX + END_CHARS;

export function Statement({ text, isSql, marks, isFlat, label = "Statement", onWhole }: Shown) {
  const [isWhole, setWhole] = useState(false);
  const end = cut(text, PAINTED_CHARS_MAX);
  const pieces = useMemo(() => (isSql ? paint(text, marks) : plain(text.slice(0, end))), [text, isSql, marks, end]);
  const rest = useMemo(() => {
    return plain(
      isWhole || !isLong(text) ? text.slice(end) : text.slice(Math.max(end, cut(text, text.length - END_CHARS))),
    );
  }, [text, isWhole, end]);
  return (
    <div className="stack">
      <Scrolled isFlat={isFlat} label={label}>
        <Painted pieces={pieces} />
        {isLong(text) && !isWhole ? (
          <mark className="folded">… {number(text.length - end - END_CHARS)} characters …</mark>
        ) : null}
        <Painted pieces={rest} />
      </Scrolled>
      {isLong(text) ? (
        <div className="row small">
          <strong>
            {isWhole
              ? `All of ${bytes(new Blob([text]).size)} is shown; colours end at ${number(PAINTED_CHARS_MAX)} characters.`
              : `Of ${bytes(new Blob([text]).size)} these are the beginning and the end.`}
          </strong>
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => {
              setWhole(!isWhole);
              onWhole?.();
            }}
          >
            {isWhole ? "Show beginning and end" : "Show all"}
          </Button>
          <Copy value={text} label="Copy the whole statement" />
        </div>
      ) : null}
    </div>
  );
}

/** A box that says when there is more of it than it shows. */
function Scrolled({ isFlat, label, children }: { isFlat?: boolean; label: string; children: ReactNode }) {
  const box = useRef<HTMLPreElement>(null);
  const [hidden, setHidden] = useState(0);
  const measure = useCallback(() => {
    const element = box.current;
    if (!element || isFlat) return;
    const line = Number.parseFloat(getComputedStyle(element).lineHeight) || 20;
    setHidden(
      Math.max(0, Math.round((element.scrollHeight - element.scrollTop - element.clientHeight - line / 2) / line)),
    );
  }, [isFlat]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what it holds is what is measured
  useLayoutEffect(measure, [measure, children]);
  return (
    <div className="scrolled">
      <pre
        ref={box}
        role="group"
        className={isFlat ? "statement flat" : "statement"}
        tabIndex={isFlat ? undefined : 0}
        aria-label={label}
        onScroll={measure}
      >
        {children}
      </pre>
      {hidden > 0 ? (
        <button
          type="button"
          className="below"
          onClick={() => box.current?.scrollBy({ top: box.current.clientHeight })}
        >
          {plural(hidden, "more line")} below
        </button>
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
      {shown.map((word, place) => (
        <li key={place} data-weight={word.weight}>
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
