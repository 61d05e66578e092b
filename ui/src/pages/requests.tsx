/** What waits for a person: everything that a decision takes, on one screen. */

import { Button, SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { Link, useLocation, useNavigate, useParams } from "react-router";
import type { Request } from "../api/client";
import {
  decidedRequests,
  openRequests,
  type Requests,
  request as requestQuery,
  requestsTo,
  targets,
} from "../api/queries";
import { chain } from "../lib/chain";
import { identityOf } from "../lib/filters";
import { bindName, number, oneLine, plural, span } from "../lib/format";
import { revealed } from "../lib/hidden";
import { isTyping } from "../lib/keys";
import { playground } from "../lib/question";
import { inWords, marks, sentence } from "../lib/words";
import {
  Ago,
  Chip,
  Copy,
  Empty,
  Heading,
  PolicyLinks,
  SessionLink,
  State,
  TaskLink,
  useNow,
  Waiting,
  Who,
} from "../parts/basics";
import { CameFrom, Chain } from "../parts/chain";
import { IdentityFilter, OneOf, TargetFilter, useFilters } from "../parts/filters";
import { Accesses, isLong, Statement } from "../parts/statement";
import { Decide, Decided } from "./answer";

/** So many of the decisions that resemble a request are shown. */
const SIMILAR_MAX = 4;

const factsOf = (request: Request): Record<string, unknown> =>
  request.kind === "operation" ? (request.facts ?? {}) : {};

function summary(request: Request): string {
  if (request.kind === "task") return `a task for ${span(request.ttl_secs)} on ${request.targets.join(", ")}`;
  return sentence(request.accesses, factsOf(request)) || request.title;
}

/** What can have become of a request. */
const DECIDED = ["approved", "used", "denied", "withdrawn", "expired"];

/** Where list and request stand beside each other. */
const WIDE = "(min-width: 861px)";

const counted = ({ entries, isMore }: Requests) =>
  entries.length === 0 ? "nothing waits" : `${plural(entries.length, "request")}${isMore ? " and more" : ""} waiting`;

const byTimeLeft = (one: Request, other: Request) =>
  new Date(one.expires).getTime() - new Date(other.expires).getTime();

export function RequestsPage() {
  const { id = "" } = useParams();
  const filters = useFilters();
  const { search } = useLocation();
  const isDecided = filters.get("show") === "decided";
  const open = useQuery(openRequests);
  const wanted = {
    state: filters.get("state") || undefined,
    identity: identityOf(filters.get("identity")),
    target: filters.get("target") || undefined,
  };
  const decided = useQuery({ ...decidedRequests(wanted), enabled: isDecided });
  const query = isDecided ? decided : open;
  // What lapses first is answered first.
  const entries = useMemo(
    () => (isDecided ? (decided.data?.entries ?? []) : [...(open.data?.entries ?? [])].sort(byTimeLeft)),
    [isDecided, decided.data, open.data],
  );
  const navigate = useNavigate();
  const first = entries[0]?.id;
  // Once something is shown it stays, whatever else comes or goes: an answer is to what was read.
  useEffect(() => {
    if (id === "" && first && window.matchMedia(WIDE).matches) {
      void navigate({ pathname: `/requests/${first}`, search }, { replace: true });
    }
  }, [id, first, search, navigate]);
  const next = useSteps(entries, id, search);
  return (
    <>
      <Heading title="Requests" note={open.data ? counted(open.data) : undefined}>
        <SegmentedControl
          size="xs"
          aria-label="Which requests"
          value={isDecided ? "decided" : "open"}
          onChange={(value) => void navigate(`/requests${value === "decided" ? "?show=decided" : ""}`)}
          data={[
            { value: "open", label: "Waiting" },
            { value: "decided", label: "Decided" },
          ]}
        />
      </Heading>
      {isDecided ? (
        <search className="filters" aria-label="Filter decided requests" data-one={id !== ""}>
          <IdentityFilter filters={filters} />
          <TargetFilter filters={filters} />
          <OneOf filters={filters} name="state" label="What became of it" data={DECIDED} />
        </search>
      ) : null}
      <div className="inbox" data-one={id !== ""} data-empty={query.data && entries.length === 0 && id === ""}>
        <nav className="panel pick" aria-label={isDecided ? "Decided requests" : "Waiting requests"}>
          <Waiting query={query} />
          {query.data && entries.length === 0 ? <NoRequests isDecided={isDecided} /> : null}
          <Picks entries={entries} shown={id} />
          {query.data?.isMore ? <p className="pad muted small">There are more, which are not listed.</p> : null}
        </nav>
        <div className="detail">{id ? <Detail key={id} id={id} next={isDecided ? undefined : next} /> : null}</div>
      </div>
    </>
  );
}

const NoRequests = ({ isDecided }: { isDecided: boolean }) => (
  <Empty title={isDecided ? "No decision is like that" : "Nothing waits for an answer"}>
    <p className="small">
      {isDecided ? "Decisions stand here once there are any." : "What policy holds appears here at once."}
    </p>
  </Empty>
);

function Picks({ entries, shown }: { entries: Request[]; shown: string }) {
  const { search } = useLocation();
  return (
    <ul className="list">
      {entries.map((request) => (
        <li key={request.id}>
          <Link
            className="item"
            aria-current={request.id === shown}
            to={{ pathname: `/requests/${request.id}`, search }}
          >
            <span className="row small muted">
              <span className="wrap">{request.identity}</span>
              {request.state === "open" ? null : <Ago time={request.opened} />}
              <span style={{ marginLeft: "auto" }}>
                {request.state === "open" ? <Left until={request.expires} /> : <State word={request.state} />}
              </span>
            </span>
            <strong className="clip">{oneLine(summary(request), 120)}</strong>
            <span className="clip mono muted">{oneLine(request.statement, 120)}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

/** The place of the request that is shown, or of what came after it once it waits no more. */
function usePlace(entries: Request[], id: string): { place: number; isThere: boolean } {
  const known = useRef(0);
  const found = entries.findIndex((request) => request.id === id);
  useEffect(() => {
    if (found >= 0) known.current = found;
  }, [found]);
  return { place: found >= 0 ? found : known.current, isThere: found >= 0 };
}

/** j and k go from one request to the next; where those lead to. */
function useSteps(entries: Request[], shown: string, search: string): string | undefined {
  const navigate = useNavigate();
  const { place, isThere } = usePlace(entries, shown);
  const next = entries[isThere ? place + 1 : place]?.id;
  const before = entries[place - 1]?.id;
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (isTyping(event)) return;
      const to = { j: next, k: before }[event.key];
      if (to) void navigate({ pathname: `/requests/${to}`, search });
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, [next, before, search, navigate]);
  return next;
}

function Left({ until }: { until: string }) {
  const now = useNow();
  const seconds = (new Date(until).getTime() - now) / 1000;
  if (seconds <= 0) return <Chip>lapsed</Chip>;
  return <Chip tone={seconds < 60 ? "bad" : seconds < 180 ? "warn" : "calm"}>{span(seconds)} left</Chip>;
}

function Detail({ id, next }: { id: string; next?: string }) {
  const query = useQuery(requestQuery(id));
  const { search } = useLocation();
  /** The long texts that were shown in whole. */
  const [read, setRead] = useState<ReadonlySet<string>>(new Set());
  const [reason, setReason] = useState("");
  const request = query.data;
  if (!request) {
    return (
      <div className="panel">
        <Waiting query={query} />
      </div>
    );
  }
  const isOpen = request.state === "open";
  return (
    <article className="panel" aria-label={`Request ${id}`}>
      {isOpen ? <TimeLeft request={request} /> : null}
      <div className="pad stack">
        <div className="row narrow small">
          <Link to={{ pathname: "/requests", search }}>← All requests</Link>
        </div>
        <div className="row">
          <State word={request.state} />
          <strong style={{ fontSize: 16 }}>
            {request.kind === "task" ? "A task is asked for" : revealed(request.title)} on {request.targets.join(", ")}
          </strong>
          <span className="muted small row" style={{ marginLeft: "auto" }}>
            <Ago time={request.opened} />
            {isOpen ? <Left until={request.expires} /> : null}
          </span>
        </div>
        <span className="muted wrap">
          <Asks request={request} />
          {request.kind === "operation" && request.task_reason ? (
            <>: &ldquo;{revealed(request.task_reason)}&rdquo;</>
          ) : null}
        </span>
        {request.kind === "operation" ? (
          <What request={request} onWhole={(text) => setRead((before) => new Set(before).add(text))} />
        ) : (
          <AskedTask request={request} />
        )}
        <div className="two">
          <section aria-label="Who and why">
            <h2>Who and why</h2>
            <Context request={request} />
          </section>
          <section className="stack" aria-label="Before you decide">
            <Similar request={request} />
          </section>
        </div>
      </div>
      {isOpen ? (
        <Decide
          request={request}
          isUnread={unreadOf(request).some((text) => !read.has(text))}
          reason={reason}
          setReason={setReason}
        />
      ) : (
        <Decided request={request} next={next} draft={reason} />
      )}
    </article>
  );
}

/** Who asks, for whom, and who sent them. What asks for a task has none yet, and so nobody who is known to have sent it. */
const Asks = ({ request }: { request: Request }) =>
  request.kind === "operation" ? (
    <Chain identity={request.identity} behalf={request.on_behalf_of} task={request.task} />
  ) : (
    chain(request)
  );

/** What of a request is not shown in whole without being asked for. */
function unreadOf(request: Request): string[] {
  const binds = request.kind === "operation" ? request.binds : [];
  const more = binds.length > BINDS_AT_FIRST ? [MORE_BINDS] : [];
  return [request.statement, ...binds].filter(isLong).concat(more);
}

function TimeLeft({ request }: { request: Request }) {
  const now = useNow();
  const [begun, ends] = [new Date(request.opened).getTime(), new Date(request.expires).getTime()];
  const share = Math.max(0, Math.min(1, (ends - now) / Math.max(1, ends - begun)));
  return (
    <div className="timeleft" role="progressbar" aria-label="Time left" aria-valuenow={Math.round(share * 100)}>
      <i style={{ width: `${share * 100}%` }} />
    </div>
  );
}

function useIsSql(target: string | undefined): boolean {
  const all = useQuery(targets);
  const found = all.data?.find((entry) => entry.name === target);
  return !found || found.protocol === "postgres";
}

function What({ request, onWhole }: { request: Request & { kind: "operation" }; onWhole: (text: string) => void }) {
  const isSql = useIsSql(request.targets[0]);
  const dangers = useMemo(() => marks(request.accesses), [request.accesses]);
  const facts = factsOf(request);
  return (
    <>
      <section className="stack" style={{ gap: 8 }} aria-label="What would run">
        <Statement text={request.statement} isSql={isSql} marks={dangers} onWhole={() => onWhole(request.statement)} />
        {request.exact ? null : (
          <span className="muted small">As evidence keeps it: values that are or may be of a class are left out.</span>
        )}
        <Binds binds={request.binds} names={request.bind_names} onWhole={onWhole} />
      </section>
      <div className="two">
        <section aria-label="What it does">
          <h2>What it does</h2>
          <Accesses accesses={request.accesses} facts={facts} />
        </section>
        <section aria-label="Blast radius">
          <h2>Blast radius</h2>
          {request.impact?.length ? (
            <ul className="words">
              {request.impact.map((line, place) => (
                <li key={place} data-weight={line.startsWith("PostgreSQL refuses") ? "danger" : undefined}>
                  <i aria-hidden="true" />
                  <span>{revealed(line)}</span>
                </li>
              ))}
            </ul>
          ) : (
            <span className="muted">Nothing is known of it beyond what the statement says.</span>
          )}
        </section>
      </div>
    </>
  );
}

/** So many bind values are shown without being asked for. */
const BINDS_AT_FIRST = 100;
/** Stands for the values beyond those among the texts that were shown. */
const MORE_BINDS = "the other bind values";

interface BindsProps {
  binds: string[];
  /** What they are called, where that is not their numbers. */
  names?: string[];
  onWhole: (text: string) => void;
}

export function Binds({ binds, names, onWhole }: BindsProps) {
  const [isWhole, setWhole] = useState(false);
  if (binds.length === 0) return null;
  const shown = isWhole ? binds : binds.slice(0, BINDS_AT_FIRST);
  const showAll = () => {
    setWhole(true);
    onWhole(MORE_BINDS);
  };
  return (
    <>
      <table className="grid" aria-label={names?.length ? "Said beside it" : "Bind values"}>
        <tbody>
          {shown.map((bind, place) => (
            <tr key={place}>
              <td className="mono muted tight" style={{ width: 40 }}>
                {bindName(place, names)}
              </td>
              <td>
                <Statement
                  text={bind}
                  isSql={false}
                  isFlat
                  label={names?.[place] ?? `Value ${place + 1}`}
                  onWhole={() => onWhole(bind)}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < binds.length ? (
        <div>
          <Button size="compact-xs" variant="default" onClick={showAll}>
            Show the other {number(binds.length - shown.length)} values
          </Button>
        </div>
      ) : null}
    </>
  );
}

function AskedTask({ request }: { request: Request & { kind: "task" } }) {
  const { budget } = request;
  const parts = [
    budget?.operations && `${number(budget.operations)} operations`,
    budget?.rows && `${number(budget.rows)} rows`,
    budget?.bytes && `${number(budget.bytes)} bytes`,
    ...Object.entries(budget?.values ?? {}).map(([name, count]) => `${number(count)} different values of ${name}`),
  ].filter(Boolean);
  return (
    <section className="stack" aria-label="What is asked for">
      <Statement text={request.statement} isSql={false} label="The reason" />
      <dl className="facts">
        <dt>For</dt>
        <dd>{span(request.ttl_secs)}</dd>
        <dt>On</dt>
        <dd>{request.targets.join(", ")}</dd>
        <dt>Budget</dt>
        <dd>{parts.length ? parts.join(", ") : "no limit of its own"}</dd>
        {request.granted ? (
          <>
            <dt>Granted so far</dt>
            <dd>
              {request.granted.targets.join(", ")} for {span(request.granted.ttl_secs)}
            </dd>
          </>
        ) : null}
      </dl>
    </section>
  );
}

function Context({ request }: { request: Request }) {
  const needs = Object.entries(request.needs).map(([group, count]) => (count === 1 ? group : `${count} of ${group}`));
  const approved = [...new Set(Object.values(request.approvals).flat())];
  const rows: [string, ReactNode][] = [["Asks", request.identity]];
  if (request.on_behalf_of) rows.push(["On behalf of", request.on_behalf_of]);
  if (request.kind === "operation") {
    rows.push(["Task", <TaskLink key="task" id={request.task} />]);
    if (request.task_reason) rows.push(["Task's reason", revealed(request.task_reason)]);
    rows.push(["Session", <SessionLink key="session" id={request.session} />]);
    if (request.state === "open") {
      const meanwhile = request.mode === "wait" ? "waits on its connection" : "was refused, and asks again";
      rows.push(["The agent", meanwhile]);
    }
  } else {
    rows.push(["Asked by", request.asked_by]);
  }
  rows.push([
    "Held by",
    <span key="policies" className="row">
      <PolicyLinks names={request.policies} />
      {request.kind === "operation" && request.exact ? <Tried request={request} /> : null}
    </span>,
  ]);
  if (request.reasons.length) rows.push(["Because", request.reasons.join("; ")]);
  rows.push(["Needs", needs.join(" and ")]);
  if (approved.length) rows.push(["Approved by", approved.join(", ")]);
  rows.push([
    "Approval hash",
    <span key="digest" className="row">
      <code className="mono" title={request.digest}>
        {request.digest.slice(0, 16)}…
      </code>
      <Copy value={request.digest} label="Copy the digest" />
    </span>,
  ]);
  return (
    <dl className="facts">
      {rows.map(([name, value]) => (
        <Pair key={name} name={name} value={value} />
      ))}
      {request.kind === "operation" ? <CameFrom task={request.task} /> : null}
    </dl>
  );
}

/** So long a statement still makes a link. */
const LINK_MAX = 4_000;

/** Where an approver sees what policy says to it now, or to something like it. */
function Tried({ request }: { request: Request }) {
  if (request.statement.length > LINK_MAX) return null;
  const question = {
    target: request.targets[0],
    identity: request.identity,
    behalf: request.on_behalf_of ?? "",
    statement: request.statement,
  };
  return (
    <Link className="small" to={playground(question)}>
      try it in the playground
    </Link>
  );
}

const Pair = ({ name, value }: { name: string; value: ReactNode }) => (
  <>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </>
);

/** The accesses that a request is held for: those that are no mere look. */
const weighty = (request: Request) => {
  const changes = request.accesses.filter((access) => inWords([access])[0]?.weight !== "read");
  return changes.length > 0 ? changes : request.accesses;
};

/** Past decisions, the likest first: about the same accesses, then of the same identity. */
function similar(request: Request, others: Request[]): Request[] {
  const wants = new Set(request.accesses);
  const likeness = (other: Request) => {
    const shared = other.accesses.filter((access) => wants.has(access)).length;
    const share = shared / Math.max(1, wants.size, other.accesses.length);
    return share * 3 + Number(other.title === request.title) + Number(other.identity === request.identity);
  };
  // What only looks at the same things is not like what changes them.
  const isLike = (other: Request) => weighty(other).some((access) => weighty(request).includes(access));
  return others
    .filter((other) => other.id !== request.id && ["approved", "used", "denied"].includes(other.state) && isLike(other))
    .map((other) => ({ other, likeness: likeness(other) }))
    .sort((one, two) => two.likeness - one.likeness)
    .slice(0, SIMILAR_MAX)
    .map(({ other }) => other);
}

function Similar({ request }: { request: Request }) {
  const others = useQuery(requestsTo(request.targets[0] ?? ""));
  const found = useMemo(() => similar(request, others.data ?? []), [request, others.data]);
  return (
    <div>
      <h2>Similar decisions</h2>
      {others.error ? <span className="muted">They could not be looked for.</span> : null}
      {others.isPending ? <span className="muted">Looking …</span> : null}
      {others.data && found.length === 0 ? <span className="muted">Nothing like it was decided lately.</span> : null}
      <ul className="list stack" style={{ gap: 8 }}>
        {found.map((other) => (
          <li key={other.id}>
            <div className="row small">
              <State word={other.state} />
              <Who identity={other.identity} behalf={other.on_behalf_of} />
              <span className="muted">
                <Ago time={other.opened} />
              </span>
            </div>
            <Link className="clip mono" to={`/requests/${other.id}?show=decided`}>
              {oneLine(other.statement, 120)}
            </Link>
            {other.answer_reason ? (
              <div className="small muted wrap">&ldquo;{revealed(other.answer_reason)}&rdquo;</div>
            ) : null}
          </li>
        ))}
      </ul>
    </div>
  );
}
