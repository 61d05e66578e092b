/** Evidence: taken out by task, session or time, and verified here, whatever the gateway says. */

import { Autocomplete, Button, type ComboboxItem, SegmentedControl, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { answered, api, type Checkpoints } from "../api/client";
import { checkpoints, sessions, tasks } from "../api/queries";
import { bytes, local, moment, number, plural } from "../lib/format";
import { revealed } from "../lib/hidden";
import { type Report, verify } from "../lib/verify";
import { Chip, Copy, Heading, Trouble, Waiting } from "../parts/basics";
import { type Column, Grid } from "../parts/grid";

export function EvidencePage() {
  return (
    <>
      <Heading title="Evidence" note="What happened, so that anybody can prove it." />
      <div className="cards">
        <Export />
        <Verify />
        <States />
      </div>
    </>
  );
}

type By = "task" | "session" | "time" | "all";

interface Wanted {
  by: By;
  id: string;
  /** As the fields have them. */
  since: string;
  until: string;
}

/** What of the journal is taken out. */
function selectionOf({ by, id, since, until }: Wanted) {
  const iso = (text: string) => new Date(text).toISOString();
  switch (by) {
    case "task":
      return { task: id.trim() };
    case "session":
      return { session: id.trim() };
    case "time":
      return { time: { since: iso(since), until: iso(until) } };
    case "all":
      return "all" as const;
  }
}

/** Has the browser save a bundle; what it is called, and how long it is. */
async function saveBundle(wanted: Wanted): Promise<string> {
  const { data } = await answered(
    api.POST("/api/v1/evidence", { body: { selection: selectionOf(wanted) }, parseAs: "blob" }) as Promise<{
      data?: Blob;
      error?: unknown;
      response: Response;
    }>,
  );
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = `evidence-${wanted.by === "time" || wanted.by === "all" ? wanted.by : wanted.id.trim()}.tar`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return `${link.download}, ${bytes(data.size)}`;
}

function Export() {
  const [search] = useSearchParams();
  const [wanted, setWanted] = useState<Wanted>(() => ({
    by: search.has("session") ? "session" : "task",
    id: search.get("task") ?? search.get("session") ?? "",
    since: local(new Date(Date.now() - 3_600_000)),
    until: local(new Date(Date.now() + 60_000)),
  }));
  const change = (changed: Partial<Wanted>) => setWanted({ ...wanted, ...changed });
  const { by } = wanted;
  const save = useMutation({ mutationFn: () => saveBundle(wanted) });
  return (
    <section className="panel pad stack c6" aria-label="Export">
      <h2>Export a bundle</h2>
      <SegmentedControl
        size="xs"
        aria-label="By what"
        value={by}
        onChange={(value) => change({ by: value as By })}
        data={[
          { value: "task", label: "A task" },
          { value: "session", label: "A session" },
          { value: "time", label: "A time" },
          { value: "all", label: "Everything" },
        ]}
      />
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        {by === "task" || by === "session" ? <Picker by={by} id={wanted.id} onChange={(id) => change({ id })} /> : null}
        {by === "time" ? (
          <div className="row">
            <TextInput
              type="datetime-local"
              label="From"
              required
              value={wanted.since}
              onChange={(event) => change({ since: event.currentTarget.value })}
            />
            <TextInput
              type="datetime-local"
              label="Until"
              required
              value={wanted.until}
              onChange={(event) => change({ until: event.currentTarget.value })}
            />
          </div>
        ) : null}
        <div className="row">
          <Button type="submit" loading={save.isPending}>
            Export
          </Button>
          {save.data ? (
            <span className="muted wrap">Saved {save.data}. Drop it beside, and it is verified.</span>
          ) : null}
        </div>
      </form>
      {save.error ? <Trouble error={save.error} /> : null}
      <p className="muted small" style={{ margin: 0 }}>
        Records, recordings, policies and approvals, with the proofs that they are in the journal. On a command line:{" "}
        <code className="mono">gatehouse evidence export</code>
      </p>
    </section>
  );
}

interface PickerProps {
  by: "task" | "session";
  id: string;
  onChange: (id: string) => void;
}

/** Names a task or a session; the newest are there to be picked, by what they were for. */
function Picker({ by, id, onChange }: PickerProps) {
  const isOfTask = by === "task";
  const newestTasks = useInfiniteQuery({ ...tasks({}), enabled: isOfTask });
  const newestSessions = useInfiniteQuery({ ...sessions({}), enabled: !isOfTask });
  const told = new Map<string, string>(
    isOfTask
      ? newestTasks.data?.pages
          .flatMap((page) => page.entries)
          .map((task) => [task.id, `${task.identity}, ${moment(task.started)}: ${task.reason}`])
      : newestSessions.data?.pages
          .flatMap((page) => page.entries)
          .map((session) => [session.id, `${session.identity} at ${session.target}, ${moment(session.opened)}`]),
  );
  const matches = ({ value }: ComboboxItem, typed: string) =>
    `${value} ${told.get(value) ?? ""}`.toLowerCase().includes(typed.trim().toLowerCase());
  return (
    <Autocomplete
      label={isOfTask ? "Task" : "Session"}
      required
      placeholder={isOfTask ? "tsk-…, or a word of its reason" : "ses-…, or a word of whose it is"}
      value={id}
      onChange={onChange}
      data={[...told.keys()]}
      limit={8}
      filter={({ options, search }) => (options as ComboboxItem[]).filter((option) => matches(option, search))}
      renderOption={({ option }) => (
        <div>
          <div className="mono">{option.value}</div>
          <div className="muted small wrap">{revealed(told.get(option.value) ?? "")}</div>
        </div>
      )}
      classNames={{ input: "mono" }}
    />
  );
}

function Verify() {
  const signed = useQuery(checkpoints);
  const [key, setKey] = useState("");
  const [isOver, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const own = signed.data?.public_key;
  useEffect(() => {
    if (own) setKey((typed) => typed || own);
  }, [own]);
  const check = useMutation({
    mutationFn: async (file: File) => ({ name: file.name, report: await verify(file, key.trim()) }),
  });
  const take = (files: FileList | null | undefined) => {
    const file = files?.[0];
    if (file) check.mutate(file);
  };
  return (
    <section className="panel pad stack c6" aria-label="Verify">
      <h2>Verify a bundle</h2>
      <TextInput
        label="The log's public key"
        description="Of a gateway that you do not trust, take the key from somewhere else than from itself."
        value={key}
        onChange={(event) => {
          setKey(event.currentTarget.value);
          // What was found was found by another key.
          check.reset();
        }}
        classNames={{ input: "mono" }}
      />
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the button in it does the same */}
      <div
        className="drop stack"
        data-over={isOver}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          take(event.dataTransfer.files);
        }}
      >
        <span>Drop a bundle here: it is verified in this browser, and sent nowhere.</span>
        <div>
          <Button variant="default" loading={check.isPending} onClick={() => input.current?.click()}>
            Choose a file
          </Button>
        </div>
        <input
          ref={input}
          type="file"
          accept=".tar"
          hidden
          aria-label="Bundle"
          onChange={(event) => {
            take(event.currentTarget.files);
            event.currentTarget.value = "";
          }}
        />
      </div>
      {check.error ? <Trouble error={check.error} /> : null}
      {check.data ? <Verified name={check.data.name} report={check.data.report} /> : null}
    </section>
  );
}

function Verified({ name, report }: { name: string; report: Report }) {
  return (
    <div className="stack" aria-live="polite">
      <div className="banner" data-tone={report.sound ? "good" : "bad"}>
        <Chip tone={report.sound ? "good" : "bad"}>{report.sound ? "sound" : "not sound"}</Chip>
        <span>
          <strong className="wrap">{name}</strong>{" "}
          {report.sound
            ? "is whole, and as the gateway signed it."
            : "is not what the gateway signed, or no bundle at all."}
        </span>
      </div>
      <dl className="facts">
        {report.facts.map(([label, value]) => (
          <div key={label} style={{ display: "contents" }}>
            <dt>{label}</dt>
            <dd>{revealed(value)}</dd>
          </div>
        ))}
      </dl>
      {report.findings.length > 0 ? (
        <ul className="words">
          {report.findings.map((finding, place) => (
            <li key={place} data-weight="danger">
              <i aria-hidden="true" />
              <span>
                <strong>{revealed(finding.kind)}</strong>: {revealed(finding.what)}
              </span>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}

const SIGNED: Column<Checkpoints["checkpoints"][number]>[] = [
  { name: "Records", place: "end", cell: (checkpoint) => number(checkpoint.size) },
  { name: "Root", look: "mono wrap", cell: (checkpoint) => checkpoint.root },
  {
    name: "Checkpoint",
    cell: (checkpoint) => <Copy value={checkpoint.note} label={`Copy the checkpoint of ${checkpoint.size} records`} />,
  },
];

function States() {
  const query = useQuery(checkpoints);
  const found = query.data;
  const newest = found?.checkpoints[0];
  return (
    <section className="panel pad stack c12" aria-label="Checkpoints">
      <h2>Signed states of the journal</h2>
      <Waiting query={query} />
      {found ? (
        <>
          <div className="row">
            <span className="figure">{number(found.records)}</span>
            <span className="muted">
              {found.records === 1 ? "record" : "records"}
              {!newest ? ", none of them signed yet" : null}
              {newest && newest.size >= found.records ? ", all of them signed" : null}
              {newest && newest.size < found.records
                ? `, signed up to ${number(newest.size)}; the rest will be with the next checkpoint`
                : null}
            </span>
          </div>
          {newest ? (
            <div className="stack" style={{ gap: 4 }}>
              <pre className="statement">{newest.note}</pre>
              <div className="row">
                <Copy value={newest.note} label="Copy the checkpoint" />
                <span className="muted small">
                  Keep one somewhere else, and nobody can change what came before it, not the gateway either.
                </span>
              </div>
            </div>
          ) : null}
          {found.checkpoints.length > 1 ? (
            <details>
              <summary>{plural(found.checkpoints.length, "checkpoint")}, the newest first</summary>
              <div className="scroll">
                <Grid columns={SIGNED} entries={found.checkpoints} keyOf={(checkpoint) => checkpoint.note} />
              </div>
            </details>
          ) : null}
        </>
      ) : null}
    </section>
  );
}
