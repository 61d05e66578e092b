/** Who works on what now, how much of what they may do is done, and one timeline across protocols. */

import { Button, Select, Tabs } from "@mantine/core";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { api, must, type Operation, type Request, type Session, type Task } from "../api/client";
import { done as doneUnder, me, requestsOfTask, sessions, task as taskQuery, tasks } from "../api/queries";
import { chain } from "../lib/chain";
import { identityOf } from "../lib/filters";
import { bytes, moment, number, oneLine, span } from "../lib/format";
import { revealed } from "../lib/hidden";
import { beforeOf, restOf } from "../lib/listing";
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
} from "../parts/basics";
import { IdentityFilter, TargetFilter, useFilters } from "../parts/filters";
import { Newer, Older } from "../parts/listing";
import { SessionTable } from "../parts/session-table";
import { Sure } from "../parts/sure";
import { TaskTable } from "../parts/task-table";

export function TasksPage() {
  const filters = useFilters();
  const { get, set } = filters;
  const state = get("state") || "live";
  const before = beforeOf(get("before"));
  const wanted = {
    state: state === "all" ? undefined : state,
    identity: identityOf(get("identity")),
    target: get("target") || undefined,
  };
  const query = useInfiniteQuery(tasks(wanted, before));
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <Heading title="Tasks" note="Every credential belongs to one, and ends with it." />
      <search className="filters" aria-label="Filter tasks">
        <Select
          label="State"
          value={state}
          onChange={(value) => set({ state: value })}
          data={["live", "done", "expired", "revoked", "abandoned", "all"]}
          allowDeselect={false}
        />
        <IdentityFilter filters={filters} />
        <TargetFilter filters={filters} />
      </search>
      <Waiting query={query} />
      {query.data && entries.length === 0 ? (
        <div className="panel">
          <Newer before={before} />
          <Empty title={state === "live" ? "Nobody works now" : "There is no such task"}>
            <p>
              <code className="mono">gatehouse run --target NAME --reason &quot;…&quot; -- COMMAND</code> starts one.
            </p>
          </Empty>
        </div>
      ) : null}
      {entries.length > 0 ? (
        <div className="panel scroll">
          <Newer before={before} />
          <TaskTable entries={entries} />
          <More query={query} />
          <Older before={query.hasNextPage ? undefined : restOf(query.data)} shown={entries.length} />
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
          <About task={task} />
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

function About({ task }: { task: Task }) {
  return (
    <dl className="facts">
      <dt>Task</dt>
      <dd className="mono">{task.id}</dd>
      <dt>Works</dt>
      <dd>{chain(task)}</dd>
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
      {task.ended_by && task.ended_by !== "gateway" ? (
        <>
          <dt>Ended by</dt>
          <dd>{revealed(task.ended_by)}</dd>
        </>
      ) : null}
    </dl>
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
  const [cause, setCause] = useState<"done" | "revoked">();
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
      {cause ? <SureToEnd key={cause} task={task} cause={cause} close={() => setCause(undefined)} /> : null}
    </>
  );
}

function SureToEnd({ task, cause, close }: { task: Task; cause: "done" | "revoked"; close: () => void }) {
  const client = useQueryClient();
  const isRevoked = cause === "revoked";
  const end = async (reason: string | undefined) => {
    const params = { path: { id: task.id } };
    const after = await must(api.POST("/api/v1/tasks/{id}/end", { params, body: { cause, reason } }));
    client.setQueryData(taskQuery(task.id).queryKey, after);
  };
  return (
    <Sure
      title={isRevoked ? "Revoke this task?" : "End this task?"}
      yes={isRevoked ? "Revoke" : "End"}
      no="Keep it"
      isGrave={isRevoked}
      act={end}
      close={close}
    >
      {task.identity} loses the credential at once, and its sessions are cut.{" "}
      {isRevoked ? "The record says that it was taken away." : null}
    </Sure>
  );
}

type Event =
  | { at: string; kind: "operation"; operation: Operation }
  | { at: string; kind: "session"; session: Session; isEnd: boolean }
  | { at: string; kind: "request"; request: Request };

function keyOf(event: Event): string {
  switch (event.kind) {
    case "operation":
      return `operation ${event.operation.index}`;
    case "session":
      return `${event.session.id} ${event.isEnd}`;
    case "request":
      return event.request.id;
  }
}

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
      {opened.error ? <Trouble error={opened.error} /> : null}
      {asked.error ? <Trouble error={asked.error} /> : null}
      {restOf(opened.data) !== undefined ? (
        <p className="pad muted small">
          Of its sessions the newest are told here; <Link to={`/sessions?task=${task.id}`}>Sessions</Link> has them all.
        </p>
      ) : null}
      {done.data && events.length === 0 ? <Empty title="Nothing was done yet" /> : null}
      <ol className="list">
        {events.map((event) => (
          <li key={keyOf(event)} className="event">
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
          {operation.refused ? <span className="small muted wrap">{revealed(operation.refused)}</span> : null}
        </div>
      );
    }
    case "session":
      return (
        <div className="row muted">
          {event.isEnd ? "Session ended" : "Session opened"} <SessionLink id={event.session.id} />{" "}
          {event.session.target}
          {event.isEnd ? <span>({revealed(event.session.cause ?? "")})</span> : <span>from {event.session.peer}</span>}
        </div>
      );
    case "request":
      return (
        <div className="row">
          <State word={event.request.state} />
          Asked a person: <RequestLink id={event.request.id} />{" "}
          <span className="muted">{revealed(event.request.title)}</span>
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
      {restOf(query.data) !== undefined && !query.hasNextPage ? (
        <p className="pad muted small">
          These are the newest; <Link to={`/sessions?task=${task}`}>Sessions</Link> has them all.
        </p>
      ) : null}
    </>
  );
}

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
