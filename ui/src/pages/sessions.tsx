/** Who was where, and what was said: sessions by what is known of them, and operations by what stands in them. */

import { Select, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { operations, sessions, targets } from "../api/queries";
import { oneLine } from "../lib/format";
import { sentence } from "../lib/words";
import { At, Chip, Empty, Heading, More, outcomeOf, SessionLink, State, Waiting, Who } from "../parts/basics";
import { SessionTable } from "./tasks";

/** How long whoever types is left to it before anything is looked for, in milliseconds. */
const TYPING_MILLIS = 250;

const SPANS = [
  { value: "1", label: "the last hour" },
  { value: "24", label: "the last day" },
  { value: "168", label: "the last week" },
  { value: "720", label: "the last 30 days" },
];

const hoursOf = (text: string) => (/^[1-9]\d*$/.test(text) ? Number(text) : undefined);

export function SessionsPage() {
  const [search, setSearch] = useSearchParams();
  const all = useQuery(targets);
  const get = (name: string) => search.get(name) ?? "";
  const set = (name: string, value: string | null) => {
    const next = new URLSearchParams(search);
    if (value) next.set(name, value);
    else next.delete(name);
    setSearch(next, { replace: true });
  };
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLElement && event.target.closest("input, textarea");
      if (event.key !== "/" || isTyping) return;
      event.preventDefault();
      field.current?.focus();
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, []);
  // What was said in a session is known of its operations alone.
  const isSearch = get("text") !== "" || get("outcome") !== "";
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
          onChange={(value) => set("text", value)}
          icon
        />
        <Typed
          label="Identity"
          placeholder="any"
          value={get("identity")}
          onChange={(value) => set("identity", value)}
          error={get("identity") && !identityOf(get("identity")) ? "agent:NAME or user:NAME" : undefined}
        />
        <Select
          label="Target"
          placeholder="any"
          clearable
          value={get("target") || null}
          onChange={(value) => set("target", value)}
          data={all.data?.map((entry) => entry.name) ?? []}
        />
        <Select
          label="Outcome"
          placeholder="any"
          clearable
          value={get("outcome") || null}
          onChange={(value) => set("outcome", value)}
          data={[
            { value: "passed", label: "passed" },
            { value: "approved", label: "approved by a person" },
            { value: "refused", label: "refused" },
          ]}
        />
        {isSearch ? null : (
          <Typed
            label="Masked class"
            placeholder="any"
            value={get("class")}
            onChange={(value) => set("class", value)}
          />
        )}
        <Select
          label="Time"
          placeholder="any"
          clearable
          value={get("hours") || null}
          onChange={(value) => set("hours", value)}
          data={SPANS}
        />
        {isSearch ? null : (
          <Select
            label="State"
            placeholder="any"
            clearable
            value={get("state") || null}
            onChange={(value) => set("state", value)}
            data={["live", "ended"]}
          />
        )}
      </search>
      {isSearch ? <Operations get={get} /> : <Sessions get={get} />}
    </>
  );
}

interface TypedProps {
  label: string;
  placeholder: string;
  value: string;
  onChange: (value: string) => void;
  className?: string;
  icon?: boolean;
  error?: string;
  ref?: React.Ref<HTMLInputElement>;
}

/** A field that is looked by once whoever types in it pauses. */
function Typed({ label, placeholder, value, onChange, className, icon, error, ref }: TypedProps) {
  const [typed, setTyped] = useState(value);
  const [settled] = useDebouncedValue(typed, TYPING_MILLIS);
  const told = useRef(value);
  // What the address says otherwise was not typed here: a link, or the way back.
  useEffect(() => {
    if (value !== told.current) {
      told.current = value;
      setTyped(value);
    }
  }, [value]);
  useEffect(() => {
    if (settled === typed && settled !== told.current) {
      told.current = settled;
      onChange(settled);
    }
  }, [settled, typed, onChange]);
  return (
    <TextInput
      ref={ref}
      className={className}
      label={label}
      placeholder={placeholder}
      value={typed}
      onChange={(event) => setTyped(event.currentTarget.value)}
      error={error}
      leftSection={icon ? <IconSearch size={15} aria-hidden="true" /> : undefined}
    />
  );
}

type Get = (name: string) => string;

/** An identity is whole before it is asked about: half of one is a mistake to the gateway. */
const identityOf = (text: string) => (/^(user|agent):[^\s]+$/.test(text) ? text : undefined);

function Sessions({ get }: { get: Get }) {
  const query = useInfiniteQuery(
    sessions({
      state: get("state") || undefined,
      identity: identityOf(get("identity")),
      target: get("target") || undefined,
      class: get("class") || undefined,
      task: get("task") || undefined,
      hours: hoursOf(get("hours")),
    }),
  );
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <Waiting query={query} />
      {query.data ? (
        <div className="panel">
          {entries.length === 0 ? (
            <Empty title="There is no such session">
              <p>Leave out a filter, or wait: live sessions appear here by themselves.</p>
            </Empty>
          ) : null}
          <SessionTable entries={entries} />
          <More query={query} />
        </div>
      ) : null}
    </>
  );
}

function Operations({ get }: { get: Get }) {
  const query = useInfiniteQuery(
    operations({
      text: get("text") || undefined,
      outcome: get("outcome") || undefined,
      identity: identityOf(get("identity")),
      target: get("target") || undefined,
      task: get("task") || undefined,
      hours: hoursOf(get("hours")),
    }),
  );
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <Waiting query={query} />
      {query.data ? (
        <div className="panel">
          {entries.length === 0 ? (
            <Empty
              title={query.hasNextPage ? "Nothing so far: there is more to look through" : "No operation is like that"}
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
                    {oneLine(operation.statement)}
                  </Link>
                  {operation.refused ? <span className="small muted wrap">{operation.refused}</span> : null}
                  <span className="small muted">
                    in <SessionLink id={operation.session} />
                  </span>
                </div>
              </li>
            ))}
          </ul>
          <More query={query} isAsked={entries.length === 0} />
        </div>
      ) : null}
    </>
  );
}
