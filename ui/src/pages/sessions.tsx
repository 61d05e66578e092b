/** Who was where, and what was said: sessions by what is known of them, and operations by what stands in them. */

import { Button } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { Link } from "react-router";
import { operations, sessions, targets } from "../api/queries";
import { type Filters, identityOf, timesOf } from "../lib/filters";
import { bindHead } from "../lib/format";
import { around, pieces } from "../lib/found";
import { revealed } from "../lib/hidden";
import { isTyping } from "../lib/keys";
import { beforeOf, restOf } from "../lib/listing";
import { sentence } from "../lib/words";
import { At, Chip, Empty, Heading, More, outcomeOf, SessionLink, State, Waiting, Who } from "../parts/basics";
import { IdentityFilter, OneOf, TargetFilter, TimeFilter, Typed, useFilters } from "../parts/filters";
import { Newer, Older } from "../parts/listing";
import { SessionTable } from "../parts/session-table";

export function SessionsPage() {
  const filters = useFilters();
  const { get, set } = filters;
  const all = useQuery(targets);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (event.key !== "/" || isTyping(event)) return;
      event.preventDefault();
      field.current?.focus();
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, []);
  // What was said in a session is known of its operations alone.
  const isSearch = get("text") !== "" || get("outcome") !== "";
  const classes = [...new Set(all.data?.flatMap((target) => target.classes ?? []))].sort();
  return (
    <>
      <Heading title="Sessions" note="Everything that went through, and all that was kept from going." />
      <search className="filters" aria-label="Filter sessions">
        <Typed
          ref={field}
          className="grow"
          label="Text"
          placeholder="in statements ( / )"
          value={get("text")}
          onChange={(value) => set({ text: value })}
          icon
        />
        <IdentityFilter filters={filters} />
        <TargetFilter filters={filters} />
        <OneOf filters={filters} name="outcome" label="Outcome" data={OUTCOMES} />
        <Typed
          label="Class"
          placeholder="any"
          value={get("class")}
          onChange={(value) => set({ class: value })}
          known={classes}
        />
        <TimeFilter filters={filters} />
        {isSearch ? null : <OneOf filters={filters} name="state" label="State" data={["live", "ended"]} />}
        {get("task") ? (
          <Button className="own" variant="default" onClick={() => set({ task: null })}>
            Of {get("task")} only: show all
          </Button>
        ) : null}
      </search>
      {isSearch ? <Operations filters={filters} /> : <Sessions filters={filters} />}
    </>
  );
}

const OUTCOMES = [
  { value: "passed", label: "allowed" },
  { value: "approved", label: "approved by a person" },
  { value: "refused", label: "refused" },
];

/** What sessions and operations are narrowed by alike. */
const common = (filters: Filters) => ({
  identity: identityOf(filters.get("identity")),
  target: filters.get("target") || undefined,
  class: filters.get("class") || undefined,
  task: filters.get("task") || undefined,
  ...timesOf(filters),
});

function Sessions({ filters }: { filters: Filters }) {
  const before = beforeOf(filters.get("before"));
  const query = useInfiniteQuery(sessions({ ...common(filters), state: filters.get("state") || undefined }, before));
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <Waiting query={query} />
      {query.data ? (
        <div className="panel">
          <Newer before={before} />
          {entries.length === 0 ? (
            <Empty title="There is no such session">
              <p>Leave out a filter, or wait: live sessions appear here by themselves.</p>
            </Empty>
          ) : null}
          <SessionTable entries={entries} />
          <More query={query} />
          <Older before={query.hasNextPage ? undefined : restOf(query.data)} shown={entries.length} />
        </div>
      ) : null}
    </>
  );
}

function Operations({ filters }: { filters: Filters }) {
  const text = filters.get("text") || undefined;
  const before = beforeOf(filters.get("before"));
  const query = useInfiniteQuery(
    operations({ ...common(filters), text, outcome: filters.get("outcome") || undefined }, before),
  );
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  const rest = restOf(query.data);
  return (
    <>
      <Waiting query={query} />
      {query.data ? (
        <div className="panel">
          <Newer before={before} />
          {entries.length === 0 ? (
            <Empty
              title={rest === undefined ? "No operation is like that" : "Nothing so far: there is more to look through"}
            >
              <p>
                What was looked for is in statements as evidence keeps them: without the values of classified columns.
              </p>
            </Empty>
          ) : (
            <p className="pad muted small" style={{ margin: 0 }}>
              Operations that match, the newest first.
            </p>
          )}
          <ul className="list">
            {entries.map((operation) => (
              <li key={operation.index} className="event">
                <span className="at muted">
                  <At time={operation.time} />
                </span>
                <div className="stack" style={{ gap: 3 }}>
                  <div className="row">
                    <State word={outcomeOf(operation)} />
                    <Chip>{operation.target}</Chip>
                    <Who identity={operation.identity} behalf={operation.on_behalf_of} />
                    <span className="muted wrap">{sentence(operation.accesses, operation.facts)}</span>
                  </div>
                  <Link className="clip mono" to={`/sessions/${operation.session}?operation=${operation.number}`}>
                    <Found text={around(operation.statement, text)} wanted={text} />
                  </Link>
                  {bindsWith(operation.binds, text).map(({ place, bind }) => (
                    <span key={place} className="clip mono small muted">
                      {bindHead(place, operation.bind_names)}
                      <Found text={around(bind, text)} wanted={text} />
                    </span>
                  ))}
                  {operation.refused ? <span className="small muted wrap">{revealed(operation.refused)}</span> : null}
                  <span className="small muted">
                    in <SessionLink id={operation.session} />
                  </span>
                </div>
              </li>
            ))}
          </ul>
          <More query={query} isAsked={entries.length === 0} />
          <Older before={query.hasNextPage ? undefined : rest} shown={entries.length} />
        </div>
      ) : null}
    </>
  );
}

/** So many bind values that hold what was looked for are shown of one operation. */
const BINDS_MAX = 3;

const bindsWith = (binds: string[], wanted: string | undefined) =>
  binds
    .map((bind, place) => ({ bind, place }))
    .filter(({ bind }) => wanted && bind.toLowerCase().includes(wanted.toLowerCase()))
    .slice(0, BINDS_MAX);

/** A text with what was looked for marked in it. */
const Found = ({ text, wanted }: { text: string; wanted?: string }) =>
  pieces(text, wanted).map((piece, place) =>
    piece.isFound ? <mark key={place}>{piece.text}</mark> : <span key={place}>{piece.text}</span>,
  );
