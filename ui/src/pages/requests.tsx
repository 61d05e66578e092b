/** What waits for a person: everything that a decision takes, on one screen. */

import { Button, Checkbox, Kbd, NativeSelect, SegmentedControl, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { api, must, Problem, type Request } from "../api/client";
import {
  decidedRequests,
  me,
  openRequests,
  type Requests,
  request as requestQuery,
  requestsTo,
  targets,
} from "../api/queries";
import { number, oneLine, plural, span } from "../lib/format";
import { revealed } from "../lib/hidden";
import { isTyping } from "../lib/keys";
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
  Trouble,
  useNow,
  Waiting,
  Who,
} from "../parts/basics";
import { Accesses, isLong, Statement } from "../parts/statement";

/** So many of the decisions that resemble a request are shown. */
const SIMILAR_MAX = 4;

const factsOf = (request: Request): Record<string, unknown> =>
  request.kind === "operation" ? (request.facts ?? {}) : {};

function summary(request: Request): string {
  if (request.kind === "task") return `a task for ${span(request.ttl_secs)} on ${request.targets.join(", ")}`;
  return sentence(request.accesses, factsOf(request)) || request.title;
}

/** Where list and request stand beside each other. */
const WIDE = "(min-width: 861px)";

const counted = ({ entries, isMore }: Requests) =>
  entries.length === 0 ? "none waits" : `${plural(entries.length, "request")}${isMore ? " and more" : ""} waiting`;

export function RequestsPage() {
  const { id = "" } = useParams();
  const [search, setSearch] = useSearchParams();
  const isDecided = search.get("show") === "decided";
  const open = useQuery(openRequests);
  const decided = useQuery({ ...decidedRequests, enabled: isDecided });
  const query = isDecided ? decided : open;
  // Oldest first: who waits longest is answered first.
  const entries = useMemo(
    () => (isDecided ? (decided.data?.entries ?? []) : [...(open.data?.entries ?? [])].reverse()),
    [isDecided, decided.data, open.data],
  );
  const navigate = useNavigate();
  const first = entries[0]?.id;
  // Once something is shown it stays, whatever else comes or goes: an answer is to what was read.
  useEffect(() => {
    if (id === "" && first && window.matchMedia(WIDE).matches) {
      void navigate({ pathname: `/requests/${first}`, search: isDecided ? "?show=decided" : "" }, { replace: true });
    }
  }, [id, first, isDecided, navigate]);
  useSteps(entries, id, isDecided);
  return (
    <>
      <Heading title="Requests" note={open.data ? counted(open.data) : undefined}>
        <SegmentedControl
          size="xs"
          aria-label="Which requests"
          value={isDecided ? "decided" : "open"}
          onChange={(value) => setSearch(value === "decided" ? { show: "decided" } : {})}
          data={[
            { value: "open", label: "Waiting" },
            { value: "decided", label: "Decided" },
          ]}
        />
      </Heading>
      <div className="inbox" data-one={id !== ""} data-empty={query.data && entries.length === 0 && id === ""}>
        <nav className="panel pick" aria-label={isDecided ? "Decided requests" : "Waiting requests"}>
          <Waiting query={query} />
          {query.data && entries.length === 0 ? (
            <Empty title={isDecided ? "Nothing was decided yet" : "Nothing waits for an answer"}>
              <p className="small">
                {isDecided ? "Decisions stand here once there are any." : "What policy holds appears here at once."}
              </p>
            </Empty>
          ) : null}
          <ul className="list">
            {entries.map((request) => (
              <li key={request.id}>
                <Link
                  className="item"
                  aria-current={request.id === id}
                  to={{ pathname: `/requests/${request.id}`, search: isDecided ? "?show=decided" : "" }}
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
        </nav>
        <div className="detail">
          {id ? <Detail key={id} id={id} next={isDecided ? undefined : after(entries, id)} /> : null}
        </div>
      </div>
    </>
  );
}

/** The request that waits after one, or the first where that waits no more. */
function after(entries: Request[], id: string): string | undefined {
  const place = entries.findIndex((request) => request.id === id);
  return (entries[place + 1] ?? entries[0])?.id;
}

/** For so long after a letter that nothing took, a letter is a part of what somebody types, in milliseconds. */
const TYPING_MILLIS = 1_500;

/** j and k go from one request to the next. */
function useSteps(entries: Request[], shown: string, isDecided: boolean) {
  const navigate = useNavigate();
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (isTyping(event)) return;
      const step = { j: 1, k: -1 }[event.key];
      const place = entries.findIndex((request) => request.id === shown);
      const next = step && entries[place + step];
      if (next) void navigate(`/requests/${next.id}${isDecided ? "?show=decided" : ""}`);
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, [entries, shown, isDecided, navigate]);
}

function Left({ until }: { until: string }) {
  const now = useNow();
  const seconds = (new Date(until).getTime() - now) / 1000;
  if (seconds <= 0) return <Chip>lapsed</Chip>;
  return <Chip tone={seconds < 60 ? "bad" : "warn"}>{span(seconds)} left</Chip>;
}

function Detail({ id, next }: { id: string; next?: string }) {
  const query = useQuery(requestQuery(id));
  const [isRead, setRead] = useState(false);
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
          <Link to={isOpen ? "/requests" : "/requests?show=decided"}>← All requests</Link>
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
        {request.kind === "operation" ? (
          <What request={request} onWhole={() => setRead(true)} />
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
          isUnread={!isRead && isLong(request.statement)}
          reason={reason}
          setReason={setReason}
        />
      ) : (
        <Decided request={request} next={next === id ? undefined : next} draft={reason} />
      )}
    </article>
  );
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

function What({ request, onWhole }: { request: Request & { kind: "operation" }; onWhole: () => void }) {
  const isSql = useIsSql(request.targets[0]);
  const dangers = useMemo(() => marks(request.accesses), [request.accesses]);
  const facts = factsOf(request);
  return (
    <>
      <section className="stack" style={{ gap: 8 }} aria-label="What would run">
        <Statement text={request.statement} isSql={isSql} marks={dangers} onWhole={onWhole} />
        {request.exact ? null : (
          <span className="muted small">As evidence keeps it: values that are or may be of a class are left out.</span>
        )}
        {request.binds.length > 0 ? (
          <table className="grid" aria-label="Bind values">
            <tbody>
              {request.binds.map((bind, place) => (
                <tr key={place}>
                  <td className="mono muted tight" style={{ width: 40 }}>
                    ${place + 1}
                  </td>
                  <td>
                    <Statement text={bind} isSql={false} isFlat label={`Value ${place + 1}`} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : null}
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
                <li key={place}>
                  <i aria-hidden="true" />
                  <span>{revealed(line)}</span>
                </li>
              ))}
            </ul>
          ) : (
            <span className="muted">
              {request.state === "open"
                ? "Nothing is known of it beyond what the statement says."
                : "It was told while the request waited; its record in the journal has it."}
            </span>
          )}
        </section>
      </div>
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
    if (request.task_reason) rows.push(["Its reason", revealed(request.task_reason)]);
    rows.push(["Session", <SessionLink key="session" id={request.session} />]);
    if (request.state === "open") {
      const meanwhile = request.mode === "wait" ? "it waits on its connection" : "it was refused, and comes again";
      rows.push(["Meanwhile", meanwhile]);
    }
  } else {
    rows.push(["Asked by", request.asked_by]);
  }
  rows.push(["Held by", <PolicyLinks key="policies" names={request.policies} />]);
  if (request.reasons.length) rows.push(["Because", request.reasons.join("; ")]);
  rows.push(["Needs", needs.join(" and ")]);
  if (approved.length) rows.push(["Approved by", approved.join(", ")]);
  rows.push([
    "Binds to",
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
    </dl>
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
      {others.data && found.length === 0 ? <span className="muted">Nothing like it was decided of late.</span> : null}
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

/** What became of a request without an answer. */
const UNANSWERED: Record<string, string> = {
  expired: "Nobody answered it in time.",
  withdrawn: "Whoever asked went away, or took it back.",
};

function Decided({ request, next, draft }: { request: Request; next?: string; draft: string }) {
  const { answered_by: by, answer_reason: reason } = request;
  const approved = [...new Set(Object.values(request.approvals).flat())];
  const isSent = draft === "" || draft === reason;
  return (
    <footer className="decide">
      <State word={request.state} />
      <span className="wrap">
        {UNANSWERED[request.state] ?? (approved.length ? approved.join(", ") : by)}
        {reason ? <span className="muted"> &ldquo;{revealed(reason)}&rdquo;</span> : null}
        {isSent ? null : <span className="muted"> What you wrote was not sent: &ldquo;{draft}&rdquo;</span>}
      </span>
      {next ? (
        <Button
          component={Link}
          to={`/requests/${next}`}
          variant="default"
          size="compact-sm"
          style={{ marginLeft: "auto" }}
        >
          Next request
        </Button>
      ) : null}
    </footer>
  );
}

type Answer = "approve" | "deny";

/** For so long after a request comes into view it takes no answer: what was clicked may have been something else. */
const LOOK_MILLIS = 800;

/** Yes or no, by button or by key: a letter arms the answer, Ctrl and Enter give it. */
interface DecideProps {
  request: Request;
  /** Whether there is more of it than was shown. */
  isUnread: boolean;
  reason: string;
  setReason: (reason: string) => void;
}

function Decide({ request, isUnread, reason, setReason }: DecideProps) {
  const who = useQuery(me);
  const client = useQueryClient();
  const [armed, setArmed] = useState<Answer>();
  const [terms, setTerms] = useState<Terms>({});
  const field = useRef<HTMLInputElement>(null);
  const [isLooked, setLooked] = useState(false);
  const lettersAt = useRef(0);
  useEffect(() => {
    const timer = setTimeout(() => setLooked(true), LOOK_MILLIS);
    return () => clearTimeout(timer);
  }, []);
  const mayApprove = isLooked && !isUnread;
  const answer = useMutation({
    mutationFn: (answer: Answer) =>
      must(api.POST(`/api/v1/requests/{id}/${answer}`, { params: { path: { id: request.id } }, body: { reason } })),
    onSuccess: ({ request: after, still_needs }, answer) => {
      client.setQueryData(requestQuery(request.id).queryKey, after);
      void client.invalidateQueries({ queryKey: ["requests"] });
      const more = Object.entries(still_needs).map(([group, count]) => `${count} of ${group}`);
      notifications.show({
        color: answer === "approve" ? "teal" : "red",
        title: answer === "approve" ? "Approved" : "Denied",
        message: more.length ? `It still needs ${more.join(" and ")}.` : `${request.identity} was told.`,
      });
    },
    onSettled: () => setArmed(undefined),
  });
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (isTyping(event) || event.key.length > 1) return;
      const key = ({ a: "approve", d: "deny" } as const)[event.key];
      const isWord = Date.now() - lettersAt.current < TYPING_MILLIS;
      if (!key || isWord || !isLooked || (key === "approve" && isUnread)) {
        // The letters that follow one which nothing took are no answers either.
        if (!["j", "k"].includes(event.key)) lettersAt.current = Date.now();
        return;
      }
      event.preventDefault();
      setArmed(key);
      field.current?.focus();
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, [isLooked, isUnread]);
  const groups = Object.keys(request.needs);
  const has = Object.values(request.approvals).some((users) => users.includes(who.data?.user ?? ""));
  const isOwn = who.data?.user === request.identity || who.data?.user === request.on_behalf_of;
  const mayAnswer = groups.some((group) => who.data?.groups.includes(group)) && !isOwn;
  if (has) {
    return <footer className="decide muted">You approved it. It still needs others of {groups.join(" and ")}.</footer>;
  }
  if (who.data && !mayAnswer) {
    return (
      <footer className="decide muted">
        {isOwn ? "This is your own request: somebody else answers it." : `It is answered by ${groups.join(" and ")}.`}
      </footer>
    );
  }
  return (
    <footer className="decide">
      {answer.error ? (
        <div style={{ width: "100%" }}>
          <Trouble error={Problem.of(answer.error)} />
        </div>
      ) : null}
      {request.kind === "task" ? <Narrowed request={request} terms={terms} setTerms={setTerms} /> : null}
      <TextInput
        ref={field}
        className="grow"
        aria-label="Reason"
        placeholder={armed ? `Why? Ctrl+Enter to ${armed}, Esc to go back` : "Reason (the requester reads it)"}
        maxLength={500}
        value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
        onBlur={() => setArmed(undefined)}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
          // Whoever presses Enter has not answered: they may be writing, where they think that nothing listens.
          const isMeant = event.key === "Enter" && (event.ctrlKey || event.metaKey);
          if (isMeant && armed && !answer.isPending) answer.mutate(armed);
        }}
      />
      <Button
        variant={armed === "deny" ? "filled" : "default"}
        color="red"
        disabled={answer.isPending || !isLooked}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => answer.mutate("deny")}
        rightSection={<Kbd size="xs">d</Kbd>}
      >
        Deny
      </Button>
      <Button
        className="approve"
        loading={answer.isPending}
        disabled={!mayApprove}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => answer.mutate("approve")}
        rightSection={<Kbd size="xs">a</Kbd>}
      >
        Approve
      </Button>
      {isUnread ? <span className="small">Show all of the statement before you approve it.</span> : null}
      <span
        className={armed ? "chip" : "quiet"}
        data-tone={armed === "deny" ? "bad" : "accent"}
        role="status"
        aria-live="assertive"
      >
        {armed ? (armed === "deny" ? "Ctrl+Enter denies" : "Ctrl+Enter approves") : ""}
      </span>
    </footer>
  );
}

interface Terms {
  targets?: string[];
  ttl_secs?: number;
}

/** What of a task is granted: some of its targets, or less time. */
function Narrowed(props: { request: Request & { kind: "task" }; terms: Terms; setTerms: (terms: Terms) => void }) {
  const { request, terms, setTerms } = props;
  const whole = request.granted ?? { targets: request.targets, ttl_secs: request.ttl_secs };
  const times = [whole.ttl_secs, ...[14_400, 3_600, 1_800, 900].filter((secs) => secs < whole.ttl_secs)];
  return (
    <div className="row" style={{ width: "100%" }}>
      <NativeSelect
        size="xs"
        aria-label="For how long"
        value={String(terms.ttl_secs ?? whole.ttl_secs)}
        onChange={(event) => setTerms({ ...terms, ttl_secs: Number(event.currentTarget.value) })}
        data={times.map((secs) => ({ value: String(secs), label: `for ${span(secs)}` }))}
      />
      {whole.targets.length > 1 ? (
        <Checkbox.Group
          aria-label="On which targets"
          value={terms.targets ?? whole.targets}
          onChange={(targets) => targets.length > 0 && setTerms({ ...terms, targets })}
        >
          <div className="row">
            {whole.targets.map((target) => (
              <Checkbox key={target} size="xs" value={target} label={target} />
            ))}
          </div>
        </Checkbox.Group>
      ) : null}
    </div>
  );
}
