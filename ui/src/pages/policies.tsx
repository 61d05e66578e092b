/** What is in force and was, what would become of a statement, and what other policies would have said. */

import { Button, NativeSelect, Select, Tabs, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { useLocation, useNavigate, useParams } from "react-router";
import { api, type Backtest, type Explanation, must, type Policy } from "../api/client";
import { policies, revision as revisionQuery, revisions, targets } from "../api/queries";
import { difference } from "../lib/difference";
import { moment, number, oneLine, plural } from "../lib/format";
import { revealed } from "../lib/hidden";
import { asked, playground, type Question } from "../lib/question";
import { Ago, Chip, Empty, Heading, PolicyLinks, State, type Tone, Trouble, Waiting } from "../parts/basics";
import { type Column, Grid } from "../parts/grid";
import { Accesses } from "../parts/statement";

const VIEWS = ["in-force", "playground", "backtest", "history"] as const;

export function PoliciesPage() {
  const { view = "in-force" } = useParams();
  const navigate = useNavigate();
  // What somebody wrote stays while they look at something else.
  const [visited, setVisited] = useState<string[]>([]);
  useEffect(() => setVisited((before) => (before.includes(view) ? before : [...before, view])), [view]);
  const isThere = (name: string) => name === view || visited.includes(name);
  return (
    <>
      <Heading title="Policies" note="What no policy permits is refused." />
      <Tabs value={view} onChange={(value) => void navigate(`/policies/${value}`)}>
        <Tabs.List mb="md">
          <Tabs.Tab value="in-force">In force</Tabs.Tab>
          <Tabs.Tab value="playground">Playground</Tabs.Tab>
          <Tabs.Tab value="backtest">Backtest</Tabs.Tab>
          <Tabs.Tab value="history">History</Tabs.Tab>
        </Tabs.List>
        {VIEWS.map((name) => (
          <Tabs.Panel key={name} value={name}>
            {name === "in-force" && view === name ? <InForce /> : null}
            {name === "playground" && isThere(name) ? <Playground /> : null}
            {name === "backtest" && isThere(name) ? <Backtested /> : null}
            {name === "history" && view === name ? <History /> : null}
          </Tabs.Panel>
        ))}
      </Tabs>
    </>
  );
}

function effectOf(policy: Policy): { tone: Tone; word: string } {
  if (policy.hold.length > 0) return { tone: "warn", word: `holds for ${policy.hold.join(", ")}` };
  return policy.effect === "forbid" ? { tone: "bad", word: "forbids" } : { tone: "good", word: "permits" };
}

function InForce() {
  const all = useQuery(policies);
  const past = useQuery(revisions);
  const files = useMemo(() => {
    const found = new Map<string, Policy[]>();
    for (const policy of all.data ?? []) found.set(policy.file, [...(found.get(policy.file) ?? []), policy]);
    return [...found].sort(([one], [other]) => one.localeCompare(other));
  }, [all.data]);
  const current = past.data?.[0];
  const { hash } = useLocation();
  const isThere = all.isSuccess;
  useEffect(() => {
    // As it was written where the link was made; what nobody wrote so leads nowhere.
    const named = [...document.querySelectorAll("[id]")].find((one) => `#${encodeURIComponent(one.id)}` === hash);
    if (isThere && hash) named?.scrollIntoView({ block: "start" });
  }, [isThere, hash]);
  return (
    <>
      <Waiting query={all} />
      {current ? (
        <p className="muted">
          Revision <code className="mono">{current.revision.slice(0, 16)}</code>, in force since {moment(current.since)}{" "}
          (
          <Ago time={current.since} />)
        </p>
      ) : null}
      {all.data?.length === 0 ? (
        <div className="panel">
          <Empty title="There is no policy">
            <p>Nothing is permitted. docs/policies.md says how to write one.</p>
          </Empty>
        </div>
      ) : null}
      <div className="stack">
        {files.map(([file, entries]) => (
          <section key={file} className="panel pad" aria-label={file}>
            <h2 className="mono">{file}</h2>
            <div className="stack">
              {entries.map((policy) => {
                const { tone, word } = effectOf(policy);
                return (
                  <div key={policy.id} className="stack" style={{ gap: 6 }} id={policy.id}>
                    <div className="row">
                      <Chip tone={tone}>{word}</Chip>
                      <strong className="wrap">{policy.id}</strong>
                      {policy.quorum > 1 ? <Chip>{policy.quorum} of each group</Chip> : null}
                      {policy.reason ? <span className="muted wrap">{policy.reason}</span> : null}
                    </div>
                    <pre role="group" className="statement" tabIndex={0} aria-label={`Text of ${policy.id}`}>
                      {policy.text}
                    </pre>
                  </div>
                );
              })}
            </div>
          </section>
        ))}
      </div>
    </>
  );
}

const EXAMPLES: Record<string, string> = {
  postgres: "UPDATE customers SET tier = 'gold' WHERE id = 42",
  http: "GET /v1/customers/42",
  mcp: "search {}",
};

function Playground() {
  const { hash } = useLocation();
  const navigate = useNavigate();
  const all = useQuery(targets);
  const [question, setQuestion] = useState(() => asked(hash));
  const explain = useMutation({
    mutationFn: ({ target, statement, identity, behalf }: Question) => {
      const body = { target, statement, identity: identity || undefined, on_behalf_of: behalf || undefined };
      return must(api.POST("/api/v1/explain", { body }));
    },
  });
  const { mutate, reset } = explain;
  // What a link asks is asked at once: nothing comes of it but an answer.
  useEffect(() => {
    const given = asked(hash);
    if (!given.statement || !given.target) return;
    setQuestion(given);
    mutate(given);
  }, [hash, mutate]);
  const target = question.target || all.data?.[0]?.name || "";
  const change = (changed: Partial<Question>) => {
    setQuestion({ ...question, target, ...changed });
    // What was found was of another statement.
    reset();
  };
  const submit = () => {
    const link = playground({ ...question, target });
    const isSame = link.endsWith(hash) && hash !== "";
    if (isSame) mutate({ ...question, target });
    else void navigate(link, { replace: true });
  };
  return (
    <div className="cards">
      <form
        className="panel pad stack c4"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Fields question={{ ...question, target }} change={change} />
        <div className="row">
          <Button type="submit" loading={explain.isPending}>
            What would become of it?
          </Button>
          <span className="muted small">Nothing is sent to the target.</span>
        </div>
      </form>
      <div className="c8 stack">
        {explain.error ? <Trouble error={explain.error} /> : null}
        {explain.data ? <Explained found={explain.data} /> : null}
        {explain.isIdle ? (
          <div className="panel">
            <Empty title="Try a statement before somebody sends it">
              <p>The verdict, what it wants, which policy decided, and what of its answer would be masked.</p>
            </Empty>
          </div>
        ) : null}
      </div>
    </div>
  );
}

function Fields(props: { question: Question; change: (changed: Partial<Question>) => void }) {
  const { question, change } = props;
  const all = useQuery(targets);
  const protocol = all.data?.find((entry) => entry.name === question.target)?.protocol ?? "postgres";
  return (
    <>
      <Select
        label="Target"
        value={question.target || null}
        onChange={(value) => change({ target: value ?? "" })}
        data={all.data?.map((entry) => entry.name) ?? []}
        allowDeselect={false}
      />
      <TextInput
        label="Who asks"
        value={question.identity}
        onChange={(event) => change({ identity: event.currentTarget.value })}
        placeholder="yourself, or agent:NAME or user:NAME"
      />
      <TextInput
        label="On behalf of"
        value={question.behalf}
        onChange={(event) => change({ behalf: event.currentTarget.value })}
        placeholder="nobody, or user:NAME"
      />
      <Textarea
        label="Statement"
        required
        autosize
        minRows={6}
        maxRows={24}
        value={question.statement}
        onChange={(event) => change({ statement: event.currentTarget.value })}
        placeholder={EXAMPLES[protocol] ?? ""}
        classNames={{ input: "mono" }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
        }}
      />
    </>
  );
}

/** Why, the first word of it first: what is not understood at all would be forbidden whatever it was. */
function Reasons({ reasons }: { reasons: string[] }) {
  const [first, ...more] = reasons;
  if (first === undefined) return null;
  return (
    <div className="wrap">
      {revealed(first)}
      {more.length > 0 ? (
        <details open={more.length <= 2}>
          <summary className="muted">{plural(more.length, "more reason")}</summary>
          {more.map((reason, place) => (
            <div key={place}>{revealed(reason)}</div>
          ))}
        </details>
      ) : null}
    </div>
  );
}

/** So many accesses are shown one by one without being asked for. */
const ACCESSES_AT_FIRST = 12;

function Explained({ found }: { found: Explanation }) {
  const holds = Object.entries(found.hold ?? {}).map(([group, count]) =>
    count === 1 ? group : `${count} of ${group}`,
  );
  return (
    <section className="panel pad stack" aria-label="What would become of it" aria-live="polite">
      <div className="row">
        <State word={found.verdict} />
        <strong>{revealed(found.title)}</strong>
        <Chip>{found.effect === "write" ? "can change the target" : "only reads"}</Chip>
        {holds.length ? <span>waits for {holds.join(" and ")}</span> : null}
      </div>
      <Reasons reasons={found.reasons ?? []} />
      <div className="two">
        <div>
          <h2>What it does</h2>
          <Accesses
            accesses={found.accesses.map((access) => `${access.action} on ${access.resource}`)}
            facts={found.facts as Record<string, unknown>}
          />
        </div>
        <div>
          <h2>Decided by</h2>
          {found.policies.length ? (
            <PolicyLinks names={found.policies} />
          ) : (
            <span className="muted">no policy: nothing permits it</span>
          )}
        </div>
      </div>
      <Judged accesses={found.accesses} />
      {found.columns?.length ? <Columns columns={found.columns} /> : null}
      <details>
        <summary className="muted">Facts that policies can test</summary>
        <pre role="group" className="statement" tabIndex={0} aria-label="Facts">
          {JSON.stringify(found.facts, null, 2)}
        </pre>
      </details>
    </section>
  );
}

const JUDGED: Column<Explanation["accesses"][number]>[] = [
  { name: "Access", look: "mono tight", cell: (access) => access.action },
  { name: "On", look: "mono wrap", cell: (access) => access.resource },
  { name: "Classes", cell: (access) => access.classes?.join(", ") },
  { name: "Verdict", cell: (access) => <State word={access.verdict} /> },
  { name: "Policies", look: "wrap", cell: (access) => access.policies.join(", ") },
];

function Judged({ accesses }: { accesses: Explanation["accesses"] }) {
  return (
    <details open={accesses.length <= ACCESSES_AT_FIRST} className="scroll">
      <summary className="muted">{plural(accesses.length, "access", "accesses")}, one by one</summary>
      <Grid columns={JUDGED} entries={accesses} keyOf={(access) => `${access.action} ${access.resource}`} />
    </details>
  );
}

const SHOWN: Record<string, Tone> = { clear: "good", scanned: "accent" };

const BACK: Column<NonNullable<Explanation["columns"]>[number]>[] = [
  { name: "Column", look: "mono", cell: (column) => column.name },
  { name: "Shown", cell: (column) => <Chip tone={SHOWN[column.shown] ?? "warn"}>{column.shown}</Chip> },
  { name: "Class", cell: (column) => column.class },
  { name: "Mask", cell: (column) => column.mask },
  { name: "From", look: "wrap muted", cell: (column) => column.of?.join(", ") || column.source },
];

function Columns({ columns }: { columns: NonNullable<Explanation["columns"]> }) {
  return (
    <div className="scroll" role="group" tabIndex={0} aria-label="Columns that would come back">
      <h2>What would come back</h2>
      <Grid columns={BACK} entries={columns} keyOf={(_, place) => place} />
    </div>
  );
}

const SINCE = [
  { value: "86400", label: "the last day" },
  { value: "604800", label: "the last week" },
  { value: "2592000", label: "the last 30 days" },
  { value: "31536000", label: "the last year" },
];

function Backtested() {
  const past = useQuery(revisions);
  const current = past.data?.[0]?.revision ?? "";
  const inForce = useQuery(revisionQuery(current));
  const [edits, setEdits] = useState<Texts>({});
  const [since, setSince] = useState("604800");
  const loaded = inForce.data?.files;
  const files = loaded && { ...loaded, ...edits };
  const backtest = useMutation({
    mutationFn: () =>
      must(api.POST("/api/v1/policies/backtest", { body: { files: files ?? {}, since_secs: Number(since) } })),
  });
  if (past.error || inForce.error) return <Trouble error={past.error ?? inForce.error} />;
  const { reset } = backtest;
  const edit = (next: Texts) => {
    setEdits(next);
    // What was found was of other policies.
    reset();
  };
  if (!files || !loaded) return <Waiting query={{ isPending: true, error: null, refetch: () => undefined }} />;
  return (
    <div className="cards">
      <div className="panel pad stack c6">
        <p className="muted" style={{ margin: 0 }}>
          Change the policies here, and see what they would have said to what is on record. Nothing of it takes effect.
        </p>
        <Editor
          files={files}
          loaded={loaded}
          change={(file, text) => edit({ ...edits, [file]: text })}
          reset={() => edit({})}
        />
        <div className="row">
          <NativeSelect
            aria-label="Of which time"
            value={since}
            onChange={(event) => {
              setSince(event.currentTarget.value);
              reset();
            }}
            data={SINCE}
          />
          <Button loading={backtest.isPending} onClick={() => backtest.mutate()}>
            What would change?
          </Button>
        </div>
      </div>
      <div className="c6 stack">
        {backtest.error ? <Trouble error={backtest.error} /> : null}
        {backtest.data ? <Report report={backtest.data} /> : null}
        {backtest.isIdle ? (
          <div className="panel">
            <Empty title="Before a policy takes effect">
              <p>
                Each operation on record is decided anew, by its facts: what would pass that did not, and what would not
                that did.
              </p>
            </Empty>
          </div>
        ) : null}
      </div>
    </div>
  );
}

type Texts = Record<string, string>;

/** The texts of policies, and what of them is not as it is in force. */
function Editor(props: {
  files: Texts;
  loaded: Texts;
  change: (file: string, text: string) => void;
  reset: () => void;
}) {
  const { files, loaded, change, reset } = props;
  const [chosen, setChosen] = useState("");
  const file = chosen || Object.keys(files)[0] || "";
  const changed = Object.keys(files).filter((name) => files[name] !== loaded[name]);
  return (
    <>
      <div className="row">
        <NativeSelect
          aria-label="File"
          value={file}
          onChange={(event) => setChosen(event.currentTarget.value)}
          data={Object.keys(files).map((name) => ({
            value: name,
            label: changed.includes(name) ? `${name} (changed)` : name,
          }))}
        />
        <Button variant="default" size="compact-sm" disabled={changed.length === 0} onClick={reset}>
          Reset
        </Button>
      </div>
      <Textarea
        aria-label={`Text of ${file}`}
        autosize
        minRows={14}
        maxRows={32}
        spellCheck={false}
        classNames={{ input: "mono" }}
        value={files[file] ?? ""}
        onChange={(event) => change(file, event.currentTarget.value)}
      />
      {changed.length > 0 ? (
        <details>
          <summary className="muted">What you changed, in {changed.join(", ")}</summary>
          <Difference was={loaded} is={files} />
        </details>
      ) : null}
    </>
  );
}

function Report({ report }: { report: Backtest }) {
  const verdicts = Object.entries(report.verdicts);
  const changed = verdicts.filter(([pair]) => new Set(pair.split(" -> ")).size > 1);
  const total = changed.reduce((sum, [, count]) => sum + count, 0);
  return (
    <section className="panel pad stack" aria-label="What would change" aria-live="polite">
      <div>
        <span className="figure">{number(total)}</span>{" "}
        <span className="muted">of {plural(report.operations, "operation")} would be decided otherwise</span>
      </div>
      <div className="row">
        {changed.map(([pair, count]) => {
          const [was = "", would = ""] = pair.split(" -> ");
          return (
            <span key={pair} className="row">
              <State word={was} /> → <State word={would} /> <strong className="figures">{number(count)}</strong>
            </span>
          );
        })}
      </div>
      {report.is_partial ? (
        <span className="muted small">There is more on record than was looked at: only the newest was.</span>
      ) : null}
      {report.strangers > 0 ? (
        <span className="muted small">
          {plural(report.strangers, "operation")} of identities that are not known any more were left out.
        </span>
      ) : null}
      <ul className="list">
        {report.changes.map((change, place) => (
          <li key={place} className="event" style={{ padding: "10px 0" }}>
            <span className="figures">
              <strong>{number(change.operations)}</strong>{" "}
              <span className="muted small">{change.operations === 1 ? "time" : "times"}</span>
            </span>
            <div className="stack" style={{ gap: 3 }}>
              <div className="row">
                <State word={change.was} /> → <State word={change.would_be} />
                <Chip>{change.target}</Chip>
                <span className="wrap">{change.identity}</span>
              </div>
              <span className="clip mono" title={oneLine(change.statement, 2000)}>
                {oneLine(change.statement)}
              </span>
              <span className="small muted wrap">
                by {change.policies_would_be.join(", ") || "no policy"}; was by{" "}
                {change.policies_were.join(", ") || "no policy"}; last <Ago time={change.last} />
              </span>
            </div>
          </li>
        ))}
      </ul>
      {report.uncollected > 0 ? (
        <span className="muted small">
          {plural(report.uncollected, "operation")} more would change, and are not told apart.
        </span>
      ) : null}
      {report.different > report.changes.length ? (
        <span className="muted small">
          {number(report.different - report.changes.length)} more kinds of change are not listed.
        </span>
      ) : null}
    </section>
  );
}

function History() {
  const past = useQuery(revisions);
  const [chosen, setChosen] = useState("");
  // The same policies may have been in force twice: a revision is chosen by when it came.
  const place = Math.max(0, past.data?.findIndex((entry) => entry.since === chosen) ?? 0);
  const shown = past.data?.[place]?.revision ?? "";
  const before = past.data?.[place + 1]?.revision ?? "";
  const now = useQuery(revisionQuery(shown));
  const then = useQuery(revisionQuery(before));
  if (!past.data) return <Waiting query={past} />;
  if (past.data.length === 0) return <Empty title="Nothing was ever in force" />;
  return (
    <div className="inbox" data-one="both">
      <nav className="panel pick" aria-label="Revisions">
        <ul className="list">
          {past.data.map((entry, index) => (
            <li key={`${entry.revision} ${index}`}>
              <a
                className="item"
                href={`#${entry.revision}`}
                aria-current={index === place}
                onClick={(event) => {
                  event.preventDefault();
                  setChosen(entry.since);
                }}
              >
                <span className="row small">
                  <span>{moment(entry.since)}</span>
                  {entry.is_current ? <Chip tone="good">in force</Chip> : null}
                </span>
                <span className="mono muted">{entry.revision.slice(0, 24)}</span>
                <span className="small muted">{plural(Object.keys(entry.files).length, "file")}</span>
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <section className="panel pad stack" aria-label="What changed">
        <h2>{before ? "What changed with it" : "The first that is known"}</h2>
        <Waiting query={now} />
        {then.error ? <Trouble error={then.error} /> : null}
        {now.data && then.data ? <Difference was={then.data.files} is={now.data.files} /> : null}
        {now.data && !before ? <Files files={now.data.files} /> : null}
      </section>
    </div>
  );
}

const Files = ({ files }: { files: Record<string, string> }) =>
  Object.entries(files).map(([name, text]) => (
    <div key={name}>
      <h3 className="mono">{name}</h3>
      <pre role="group" className="statement" tabIndex={0} aria-label={`Text of ${name}`}>
        {text}
      </pre>
    </div>
  ));

function Difference({ was, is }: { was: Record<string, string>; is: Record<string, string> }) {
  const names = [...new Set([...Object.keys(was), ...Object.keys(is)])].sort();
  const changed = names.filter((name) => was[name] !== is[name]);
  if (changed.length === 0)
    return <span className="muted">The files are the same; the schema or their names are not.</span>;
  return changed.map((name) => (
    <div key={name}>
      <h3 className="mono">
        {name}{" "}
        {is[name] === undefined ? (
          <Chip tone="bad">gone</Chip>
        ) : was[name] === undefined ? (
          <Chip tone="good">new</Chip>
        ) : null}
      </h3>
      <pre role="group" className="statement" tabIndex={0} aria-label={`What changed in ${name}`}>
        {difference(was[name] ?? "", is[name] ?? "").map((line, place) => (
          <div key={place} className={line.sign === "+" ? "added" : line.sign === "-" ? "removed" : undefined}>
            {line.sign} {line.text}
          </div>
        ))}
      </pre>
    </div>
  ));
}
