/** Who works on what now, how much of what they may do is done, and one timeline across protocols. */

import { Button, Modal, Select, Tabs } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { memo, useMemo, useState } from "react";
import { Link, useParams, useSearchParams } from "react-router";
import { api, must, type Operation, type Request, type Session, type Task } from "../api/client";
import { done as doneUnder, me, requestsOfTask, sessions, targets, task as taskQuery, tasks } from "../api/queries";
import { bytes, moment, number, oneLine, span } from "../lib/format";
import { revealed } from "../lib/hidden";
import { sentence } from "../lib/words";
import {
  Ago,
  At,
  Chip,
  Empty,
  Heading,
  More,
  outcomeOf,
  RequestLink,
  SessionLink,
  State,
  TaskLink,
  type Tone,
  Trouble,
  useNow,
  Waiting,
  Who,
} from "../parts/basics";

export function TasksPage() {
  const [search, setSearch] = useSearchParams();
  const state = search.get("state") ?? "live";
  const target = search.get("target") ?? "";
  const all = useQuery(targets);
  const query = useInfiniteQuery(tasks({ state: state === "all" ? undefined : state, target: target || undefined }));
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  const set = (name: string, value: string | null) => {
    const next = new URLSearchParams(search);
    if (value) next.set(name, value);
    else next.delete(name);
    setSearch(next, { replace: true });
  };
  return (
    <>
      <Heading title="Tasks" note="Every credential belongs to one, and ends with it." />
      <div className="filters">
        <Select
          label="State"
          value={state}
          onChange={(value) => set("state", value)}
          data={["live", "done", "expired", "revoked", "abandoned", "all"]}
          allowDeselect={false}
        />
        <Select
          label="Target"
          placeholder="any"
          clearable
          value={target || null}
          onChange={(value) => set("target", value)}
          data={all.data?.map((entry) => entry.name) ?? []}
        />
      </div>
      <Waiting query={query} />
      {query.data && entries.length === 0 ? (
        <div className="panel">
          <Empty title={state === "live" ? "Nobody works now" : "There is no such task"}>
            <p>
              <code className="mono">gatehouse run --target NAME --reason &quot;…&quot; -- COMMAND</code> starts one.
            </p>
          </Empty>
        </div>
      ) : null}
      {entries.length > 0 ? (
        <div className="panel scroll">
          <table className="grid">
            <thead>
              <tr>
                <th>Task</th>
                <th>Who</th>
                <th>Reason</th>
                <th className="far">Targets</th>
                <th className="far">Began</th>
                <th>Ends</th>
                <th>State</th>
              </tr>
            </thead>
            <tbody>
              {entries.map((task) => (
                <tr key={task.id}>
                  <td className="tight">
                    <TaskLink id={task.id} />
                  </td>
                  <td>
                    <Who identity={task.identity} behalf={task.on_behalf_of} />
                  </td>
                  <td className="wide">
                    <span className="clip" title={task.reason}>
                      {revealed(task.reason)}
                    </span>
                  </td>
                  <td className="far">{task.targets.join(", ")}</td>
                  <td className="tight far">
                    <Ago time={task.started} />
                  </td>
                  <td className="tight">
                    <Ago time={task.ended ?? task.expires} />
                  </td>
                  <td className="tight">
                    <State word={task.state} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <More query={query} />
        </div>
      ) : null}
    </>
  );
}

export function TaskPage() {
  const { id = "" } = useParams();
  const query = useQuery(taskQuery(id));
  const task = query.data;
  if (!task) return <Waiting query={query} />;
  return (
    <>
      <Heading title={revealed(task.reason)} note={<State word={task.state} />}>
        <Button component={Link} size="compact-sm" variant="default" to={`/evidence?task=${task.id}`}>
          Export evidence
        </Button>
        {task.state === "live" ? <End task={task} /> : null}
      </Heading>
      <div className="cards">
        <section className="panel pad c6" aria-label="About this task">
          <dl className="facts">
            <dt>Task</dt>
            <dd className="mono">{task.id}</dd>
            <dt>Works</dt>
            <dd>{task.identity}</dd>
            {task.on_behalf_of ? (
              <>
                <dt>On behalf of</dt>
                <dd>{task.on_behalf_of}</dd>
              </>
            ) : null}
            {task.actors?.length ? (
              <>
                <dt>Acted before</dt>
                <dd>{task.actors.join(" → ")}</dd>
              </>
            ) : null}
            {task.parent ? (
              <>
                <dt>Came from</dt>
                <dd>
                  <TaskLink id={task.parent} />
                </dd>
              </>
            ) : null}
            <dt>Targets</dt>
            <dd>{task.targets.join(", ")}</dd>
            <dt>Started by</dt>
            <dd>{task.started_by}</dd>
            <dt>Began</dt>
            <dd>
              {moment(task.started)} (<Ago time={task.started} />)
            </dd>
            <dt>{task.ended ? "Ended" : "Ends"}</dt>
            <dd>{moment(task.ended ?? task.expires)}</dd>
          </dl>
        </section>
        <section className="panel pad c6" aria-label="Budget">
          <h2>Budget</h2>
          <Budgets task={task} />
        </section>
        <section className="panel c12" aria-label="What was done">
          <Tabs defaultValue="timeline" keepMounted={false}>
            <Tabs.List>
              <Tabs.Tab value="timeline">Timeline</Tabs.Tab>
              <Tabs.Tab value="sessions">Sessions</Tabs.Tab>
              <Tabs.Tab value="requests">Requests</Tabs.Tab>
            </Tabs.List>
            <Tabs.Panel value="timeline">
              <Timeline task={task} />
            </Tabs.Panel>
            <Tabs.Panel value="sessions">
              <Sessions task={task.id} />
            </Tabs.Panel>
            <Tabs.Panel value="requests">
              <Requests task={task.id} />
            </Tabs.Panel>
          </Tabs>
        </section>
      </div>
    </>
  );
}

/** What a task may use up, as bars. */
export function Budgets({ task }: { task: Task }) {
  const now = useNow();
  const { budget, spent } = task;
  const begun = new Date(task.started).getTime();
  const ends = new Date(task.expires).getTime();
  const isLive = task.state === "live";
  const values = Object.entries(budget?.values ?? {});
  const bars: { name: string; used: number; limit: number; shown: string }[] = [
    {
      name: "Time",
      used: (isLive ? Math.min(now, ends) : new Date(task.ended ?? task.expires).getTime()) - begun,
      limit: ends - begun,
      shown: isLive
        ? `${span((ends - now) / 1000)} left of ${span((ends - begun) / 1000)}`
        : `${span((new Date(task.ended ?? task.expires).getTime() - begun) / 1000)} of ${span((ends - begun) / 1000)}`,
    },
  ];
  const bar = (name: string, limit: number | null | undefined, used: number | undefined, of: (n: number) => string) => {
    if (limit === null || limit === undefined) return;
    bars.push({ name, used: used ?? 0, limit, shown: `${spent ? of(used ?? 0) : "—"} of ${of(limit)}` });
  };
  bar("Operations", budget?.operations, spent?.operations, number);
  bar("Rows", budget?.rows, spent?.rows, number);
  bar("Bytes", budget?.bytes, spent?.bytes, bytes);
  for (const [name, limit] of values) bar(`Different values of ${name}`, limit, spent?.values?.[name], number);
  return (
    <div className="bars">
      {bars.map(({ name, used, limit, shown }) => {
        const share = limit > 0 ? Math.min(1, used / limit) : 1;
        const isUsedUp = share >= 1 && name !== "Time";
        const tone: Tone | undefined = isUsedUp ? "bad" : share > 0.8 && isLive ? "warn" : undefined;
        return (
          <div key={name} className="budget small">
            <span>{name}</span>
            <span className="figures muted">{shown}</span>
            <div
              className="track"
              role="meter"
              aria-label={name}
              aria-valuemin={0}
              aria-valuemax={100}
              aria-valuenow={Math.round(share * 100)}
              aria-valuetext={shown}
            >
              <i data-tone={tone} style={{ width: `${share * 100}%` }} />
            </div>
          </div>
        );
      })}
      {bars.length === 1 ? <span className="muted small">Nothing but its time is limited.</span> : null}
    </div>
  );
}

/** Ends a task, or takes it away, once whoever asks for it says so twice. */
function End({ task }: { task: Task }) {
  const who = useQuery(me);
  const client = useQueryClient();
  const [cause, setCause] = useState<"done" | "revoked">();
  const end = useMutation({
    mutationFn: (cause: string) =>
      must(api.POST("/api/v1/tasks/{id}/end", { params: { path: { id: task.id } }, body: { cause } })),
    onSuccess: (after) => {
      client.setQueryData(taskQuery(task.id).queryKey, after);
      setCause(undefined);
    },
  });
  const isOwn = who.data?.user === task.identity || who.data?.user === task.on_behalf_of;
  if (!who.data?.administers && !isOwn) return null;
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={() => setCause("done")}>
        End
      </Button>
      <Button size="compact-sm" color="red" variant="light" onClick={() => setCause("revoked")}>
        Revoke
      </Button>
      <Modal
        opened={cause !== undefined}
        onClose={() => setCause(undefined)}
        title={cause === "revoked" ? "Revoke this task?" : "End this task?"}
      >
        <div className="stack">
          <span>
            {task.identity} loses the credential at once, and its sessions are cut.{" "}
            {cause === "revoked" ? "The record says that it was taken away." : null}
          </span>
          {end.error ? <Trouble error={end.error} /> : null}
          <div className="row">
            <Button
              color={cause === "revoked" ? "red" : undefined}
              loading={end.isPending}
              onClick={() => cause && end.mutate(cause)}
            >
              {cause === "revoked" ? "Revoke" : "End"}
            </Button>
            <Button variant="default" onClick={() => setCause(undefined)}>
              Keep it
            </Button>
          </div>
        </div>
      </Modal>
    </>
  );
}

type Event =
  | { at: string; kind: "operation"; operation: Operation }
  | { at: string; kind: "session"; session: Session; isEnd: boolean }
  | { at: string; kind: "request"; request: Request };

function Timeline({ task }: { task: Task }) {
  const done = useInfiniteQuery(doneUnder(task.id));
  const opened = useInfiniteQuery(sessions({ task: task.id }));
  const asked = useQuery(requestsOfTask(task.id));
  const events = useMemo(() => {
    const found: Event[] = [];
    for (const operation of done.data?.pages.flatMap((page) => page.entries) ?? []) {
      found.push({ at: operation.time, kind: "operation", operation });
    }
    const oldest = done.hasNextPage ? found.at(-1)?.at : undefined;
    for (const session of opened.data?.pages.flatMap((page) => page.entries) ?? []) {
      found.push({ at: session.opened, kind: "session", session, isEnd: false });
      if (session.closed) found.push({ at: session.closed, kind: "session", session, isEnd: true });
    }
    for (const request of asked.data ?? []) found.push({ at: request.opened, kind: "request", request });
    const after = (event: Event) => oldest === undefined || new Date(event.at) >= new Date(oldest);
    return found.filter(after).sort((one, other) => new Date(other.at).getTime() - new Date(one.at).getTime());
  }, [done.data, done.hasNextPage, opened.data, asked.data]);
  return (
    <>
      <Waiting query={done} />
      {done.data && events.length === 0 ? <Empty title="Nothing was done yet" /> : null}
      <ol className="list">
        {events.map((event, place) => (
          <li key={`${event.kind} ${place} ${event.at}`} className="event">
            <span className="at muted">
              <At time={event.at} />
            </span>
            <Told event={event} />
          </li>
        ))}
      </ol>
      <More query={done} />
    </>
  );
}

function Told({ event }: { event: Event }) {
  switch (event.kind) {
    case "operation": {
      const { operation } = event;
      return (
        <div className="stack" style={{ gap: 3 }}>
          <div className="row">
            <State word={outcomeOf(operation)} />
            <Chip>{operation.target}</Chip>
            <span className="wrap">{sentence(operation.accesses, operation.facts) || operation.title}</span>
          </div>
          <Link className="clip mono" to={`/sessions/${operation.session}?operation=${operation.number}`}>
            {oneLine(operation.statement)}
          </Link>
          {operation.refused ? <span className="small muted wrap">{operation.refused}</span> : null}
        </div>
      );
    }
    case "session":
      return (
        <div className="row muted">
          {event.isEnd ? "Session ended" : "Session opened"} <SessionLink id={event.session.id} />{" "}
          {event.session.target}
          {event.isEnd ? <span>({event.session.cause})</span> : <span>from {event.session.peer}</span>}
        </div>
      );
    case "request":
      return (
        <div className="row">
          <State word={event.request.state} />
          Asked a person: <RequestLink id={event.request.id} /> <span className="muted">{event.request.title}</span>
        </div>
      );
  }
}

function Sessions({ task }: { task: string }) {
  const query = useInfiniteQuery(sessions({ task }));
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <Waiting query={query} />
      {query.data && entries.length === 0 ? <Empty title="It had no session yet" /> : null}
      <SessionTable entries={entries} />
      <More query={query} />
    </>
  );
}

export function SessionTable({ entries }: { entries: Session[] }) {
  if (entries.length === 0) return null;
  return (
    <div className="scroll">
      <table className="grid">
        <thead>
          <tr>
            <th>Session</th>
            <th>Who</th>
            <th className="far">Target</th>
            <th className="far">Opened</th>
            <th className="far">Lasted</th>
            <th className="end">Operations</th>
            <th className="end">Refused</th>
            <th className="end far">Rows</th>
            <th className="far">Masked</th>
            <th>State</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((session) => (
            <SessionRow key={session.id} session={session} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const Lasted = ({ from, until }: { from: string; until: string | number }) => {
  const seconds = (new Date(until).getTime() - new Date(from).getTime()) / 1000;
  return seconds < 1 ? "< 1 s" : span(seconds);
};

/** Of a session that goes on, until now. */
const LastsNow = ({ from }: { from: string }) => <Lasted from={from} until={useNow()} />;

/** Drawn anew only when the session is another: there may be thousands. */
const SessionRow = memo(function SessionRow({ session }: { session: Session }) {
  return (
    <tr>
      <td className="tight">
        <SessionLink id={session.id} />
      </td>
      <td>
        <Who identity={session.identity} behalf={session.on_behalf_of} />
      </td>
      <td className="far">{session.target}</td>
      <td className="tight far">
        <Ago time={session.opened} />
      </td>
      <td className="tight far">
        {session.closed ? <Lasted from={session.opened} until={session.closed} /> : <LastsNow from={session.opened} />}
      </td>
      <td className="end">{number(session.operations)}</td>
      <td className="end">{session.refused > 0 ? <Chip tone="bad">{number(session.refused)}</Chip> : "0"}</td>
      <td className="end far">{number(session.rows)}</td>
      <td className="far">
        <span className="row">
          {Object.entries(session.classes ?? {}).map(([name, count]) => (
            <Chip key={name}>
              {name} {number(count)}
            </Chip>
          ))}
        </span>
      </td>
      <td className="tight">
        <State word={session.state} />
      </td>
    </tr>
  );
});

function Requests({ task }: { task: string }) {
  const query = useQuery(requestsOfTask(task));
  return (
    <>
      <Waiting query={query} />
      {query.data?.length === 0 ? <Empty title="It asked nobody" /> : null}
      <ul className="list">
        {query.data?.map((request) => (
          <li key={request.id} className="event">
            <span className="at muted">
              <Ago time={request.opened} />
            </span>
            <div className="stack" style={{ gap: 3 }}>
              <div className="row">
                <State word={request.state} />
                <RequestLink id={request.id} />
              </div>
              <span className="clip mono">{oneLine(request.statement)}</span>
            </div>
          </li>
        ))}
      </ul>
    </>
  );
}
