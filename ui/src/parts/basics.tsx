/** Small things that every page shows alike. */

import { Button, CopyButton, Loader, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy, IconLink } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState, useSyncExternalStore } from "react";
import { Link } from "react-router";
import { Problem } from "../api/client";
import { openRequests } from "../api/queries";
import { exact, moment, since } from "../lib/format";

export type Tone = "good" | "warn" | "bad" | "accent" | "calm";

export const Chip = ({ tone = "calm", children }: { tone?: Tone; children: ReactNode }) => (
  <span className="chip" data-tone={tone}>
    {children}
  </span>
);

/** Colours of the words that things stand in. */
const TONES: Record<string, Tone> = {
  allow: "good",
  passed: "good",
  approved: "good",
  used: "good",
  live: "good",
  good: "good",
  done: "calm",
  ended: "calm",
  expired: "calm",
  withdrawn: "calm",
  abandoned: "warn",
  hold: "warn",
  held: "warn",
  open: "warn",
  deny: "bad",
  denied: "bad",
  refused: "bad",
  revoked: "bad",
};

/** Words that are better said otherwise. What policy says no to is refused, whatever page says it; only a person denies. */
const SAID: Record<string, string> = {
  allow: "allowed",
  hold: "held",
  deny: "refused",
  used: "approved, used",
  open: "waiting",
  prepare: "prepared",
};

export const State = ({ word }: { word: string }) => <Chip tone={TONES[word] ?? "calm"}>{SAID[word] ?? word}</Chip>;

/** What became of an operation on record. */
export const outcomeOf = (operation: { refused?: string | null; approval?: string | null; phase: string }) => {
  if (operation.refused) return "refused";
  if (operation.approval) return "approved";
  return operation.phase === "prepare" ? "prepare" : "allow";
};

export const toneOf = (word: string): Tone => TONES[word] ?? "calm";

/** One clock for all that show how long ago something was. */
function clockOf(millis: number) {
  const listeners = new Set<() => void>();
  let now = Date.now();
  let timer: ReturnType<typeof setInterval> | undefined;
  const tick = () => {
    now = Date.now();
    for (const listener of listeners) listener();
  };
  return {
    subscribe(listener: () => void) {
      if (listeners.size === 0) {
        now = Date.now();
        timer = setInterval(tick, millis);
      }
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) clearInterval(timer);
      };
    },
    now: () => now,
  };
}

const SECONDS = clockOf(1_000);
const TENS = clockOf(10_000);

/** The time, anew every second. */
export const useNow = () => useSyncExternalStore(SECONDS.subscribe, SECONDS.now);

/** The same every ten seconds. */
const useAbout = () => useSyncExternalStore(TENS.subscribe, TENS.now);

/** How long ago something was; when exactly, for whoever points at it. */
export function Ago({ time }: { time: string }) {
  // Drawn anew every so often; by what the clock says when it is.
  useAbout();
  return (
    <time dateTime={time} title={moment(time)}>
      {since(time, Date.now())}
    </time>
  );
}

/** When something was, to the millisecond: where one thing follows another. */
export const At = ({ time }: { time: string }) => (
  <time className="figures" dateTime={time} title={moment(time)}>
    {exact(time)}
  </time>
);

/** Policies by their names, each with where it stands. */
export const PolicyLinks = ({ names }: { names: string[] }) => (
  <span className="row">
    {names.map((name) => (
      <Link key={name} to={`/policies#${encodeURIComponent(name)}`}>
        {name}
      </Link>
    ))}
  </span>
);

/** Who works, and for whom. */
export const Who = ({ identity, behalf }: { identity: string; behalf?: string | null }) => (
  <span className="wrap">
    {identity}
    {behalf ? <span className="muted"> for {behalf}</span> : null}
  </span>
);

export const Copy = ({ value, label, word = "Copy" }: { value: string; label: string; word?: string }) => (
  <CopyButton value={value} timeout={1_500}>
    {({ copied, copy }) => (
      <Tooltip label={copied ? "copied" : label}>
        <Button
          size="compact-xs"
          variant="subtle"
          color="gray"
          onClick={copy}
          aria-label={label}
          leftSection={
            copied ? <IconCheck size={13} /> : word === "Link" ? <IconLink size={13} /> : <IconCopy size={13} />
          }
        >
          {copied ? "Copied" : word}
        </Button>
      </Tooltip>
    )}
  </CopyButton>
);

interface HeadingProps {
  title: ReactNode;
  /** What the browser calls the page, where the title is more than a text. */
  name?: string;
  note?: ReactNode;
  children?: ReactNode;
}

export function Heading({ title, name, note, children }: HeadingProps) {
  const waiting = useQuery(openRequests).data?.entries.length ?? 0;
  const called = name ?? (typeof title === "string" ? title : "");
  useEffect(() => {
    document.title = `${waiting > 0 ? `(${waiting}) ` : ""}${called ? `${called} — ` : ""}Gatehouse`;
  }, [waiting, called]);
  return (
    <div className="heading">
      <h1>{title}</h1>
      {note ? <span className="note">{note}</span> : null}
      {children ? <div className="end">{children}</div> : null}
    </div>
  );
}

export const Empty = ({ title, children }: { title: string; children?: ReactNode }) => (
  <div className="empty">
    <strong>{title}</strong>
    {children}
  </div>
);

/** What went wrong, and the next step. */
export function Trouble({ error, again }: { error: unknown; again?: () => void }) {
  const problem = Problem.of(error);
  if (problem.status === 404) {
    return (
      <div className="panel" role="alert">
        <Empty title={problem.message}>
          <p>It may have been of another gateway, or it is none of yours.</p>
        </Empty>
      </div>
    );
  }
  return (
    <div className="banner" data-tone="bad" role="alert">
      <div>
        <strong>{problem.message}</strong>
        {problem.detail ? <div className="small">{problem.detail}</div> : null}
      </div>
      {again ? (
        <Button className="end" size="compact-sm" variant="default" onClick={again}>
          Try again
        </Button>
      ) : null}
    </div>
  );
}

/** What is asked for, while it is, or what went wrong with it. */
export function Waiting({ query }: { query: { isPending: boolean; error: unknown; refetch: () => unknown } }) {
  if (query.error) return <Trouble error={query.error} again={() => void query.refetch()} />;
  if (!query.isPending) return null;
  return (
    <div className="empty" role="status">
      <Loader size="sm" type="dots" color="gray" aria-hidden="true" />
      <span className="quiet">Loading</span>
    </div>
  );
}

/** Loads the next page of a listing when its end comes into view, or when asked. */
export function More(props: {
  query: {
    hasNextPage: boolean;
    isFetchingNextPage: boolean;
    isFetchNextPageError: boolean;
    error: unknown;
    fetchNextPage: () => unknown;
  };
  /** Whether the next page comes only when it is asked for. */
  isAsked?: boolean;
}) {
  const { hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage, error } = props.query;
  const [end, setEnd] = useState<HTMLDivElement | null>(null);
  // What failed is asked for again by a person, not by itself.
  const isAsked = props.isAsked || isFetchNextPageError;
  useEffect(() => {
    if (!end || isAsked) return;
    const seen = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && !isFetchingNextPage && void fetchNextPage(),
      { rootMargin: "600px" },
    );
    seen.observe(end);
    return () => seen.disconnect();
  }, [end, isFetchingNextPage, fetchNextPage, isAsked]);
  if (isFetchNextPageError) return <Trouble error={error} again={() => void fetchNextPage()} />;
  if (!hasNextPage) return null;
  return (
    <div ref={setEnd} className="empty more">
      <Button variant="default" size="compact-sm" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
        Show more
      </Button>
    </div>
  );
}

export const TaskLink = ({ id }: { id: string }) => (
  <Link className="mono" to={`/tasks/${id}`}>
    {id}
  </Link>
);
export const SessionLink = ({ id, at }: { id: string; at?: string }) => (
  <Link className="mono" to={`/sessions/${id}${at ?? ""}`}>
    {id}
  </Link>
);
export const RequestLink = ({ id }: { id: string }) => (
  <Link className="mono" to={`/requests/${id}`}>
    {id}
  </Link>
);
