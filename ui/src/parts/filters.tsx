/** What listings are narrowed by. It stands in the address, so that a link shows what whoever sent it saw. */

import { Autocomplete, Select, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type Ref, useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { targets } from "../api/queries";
import { type Filters, identityOf, isTime } from "../lib/filters";
import { local } from "../lib/format";

/** How long whoever types is left to it before anything is looked for, in milliseconds. */
const TYPING_MILLIS = 250;

export function useFilters(): Filters {
  const [search, setSearch] = useSearchParams();
  return {
    get: (name) => search.get(name) ?? "",
    set: (changes) => {
      // As it is by now: of two changes at once neither is lost.
      const next = new URLSearchParams(window.location.search);
      // What is narrowed otherwise begins with its newest again.
      next.delete("before");
      for (const [name, value] of Object.entries(changes)) {
        if (value) next.set(name, value);
        else next.delete(name);
      }
      setSearch(next, { replace: true });
    },
  };
}

const SPANS = [
  { value: "1", label: "the last hour" },
  { value: "24", label: "the last day" },
  { value: "168", label: "the last week" },
  { value: "720", label: "the last 30 days" },
  { value: "between", label: "between …" },
];

export function TimeFilter({ filters: { get, set } }: { filters: Filters }) {
  return (
    <>
      <Select
        label="Time"
        placeholder="any"
        clearable
        value={get("hours") || null}
        onChange={(value) => set({ hours: value, since: null, until: null })}
        data={SPANS}
      />
      {get("hours") === "between" ? (
        <>
          <TimeField label="From" value={get("since")} onChange={(since) => set({ since })} />
          <TimeField
            label="Until"
            value={get("until")}
            onChange={(until) => set({ until })}
            error={get("until") && get("until") < get("since") ? "before it begins" : undefined}
          />
        </>
      ) : null}
    </>
  );
}

interface TimeFieldProps {
  label: string;
  /** By the clock of the world: a link means the same to everybody. */
  value: string;
  onChange: (value: string) => void;
  error?: string;
}

function TimeField({ label, value, onChange, error }: TimeFieldProps) {
  const told = (typed: string) => onChange(isTime(typed) ? new Date(typed).toISOString() : "");
  const [typed, setTyped] = useTyped(isTime(value) ? local(new Date(value)) : "", told);
  return (
    <TextInput
      className="time"
      type="datetime-local"
      label={label}
      value={typed}
      error={error}
      onChange={(event) => setTyped(event.currentTarget.value)}
    />
  );
}

interface OneOfProps {
  filters: Filters;
  name: string;
  label: string;
  data: (string | { value: string; label: string })[];
}

export const OneOf = ({ filters: { get, set }, name, label, data }: OneOfProps) => (
  <Select
    label={label}
    placeholder="any"
    clearable
    value={get(name) || null}
    onChange={(value) => set({ [name]: value })}
    data={data}
  />
);

export function TargetFilter({ filters }: { filters: Filters }) {
  const all = useQuery(targets);
  return <OneOf filters={filters} name="target" label="Target" data={all.data?.map((entry) => entry.name) ?? []} />;
}

export function IdentityFilter({ filters: { get, set } }: { filters: Filters }) {
  const identity = get("identity");
  return (
    <Typed
      label="Identity"
      placeholder="any"
      value={identity}
      onChange={(value) => set({ identity: value })}
      error={identity && !identityOf(identity) ? "agent:NAME or user:NAME" : undefined}
    />
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
  /** What may be meant. */
  known?: string[];
  ref?: Ref<HTMLInputElement>;
}

/** What somebody types, told once they pause; what is said otherwise meanwhile, by a link or on the way back, was not typed. */
function useTyped(value: string, onChange: (value: string) => void): [string, (typed: string) => void] {
  const [typed, setTyped] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    clearTimeout(timer.current);
    setTyped(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (next: string) => {
    setTyped(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(next), TYPING_MILLIS);
  };
  return [typed, type];
}

/** A field that is looked by once whoever types in it pauses. */
export function Typed({ label, placeholder, value, onChange, className, icon, error, known, ref }: TypedProps) {
  const [typed, setTyped] = useTyped(value, onChange);
  const shared = {
    ref,
    className,
    label,
    placeholder,
    value: typed,
    error,
    leftSection: icon ? <IconSearch size={15} aria-hidden="true" /> : undefined,
  };
  return known ? (
    <Autocomplete {...shared} size="sm" data={known} onChange={setTyped} />
  ) : (
    <TextInput {...shared} onChange={(event) => setTyped(event.currentTarget.value)} />
  );
}
