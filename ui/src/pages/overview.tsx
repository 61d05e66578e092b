/** What goes on: pictures that answer a question each. */

import { BarChart } from "@mantine/charts";
import { SegmentedControl } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link, useSearchParams } from "react-router";
import type { Activity } from "../api/client";
import { activity, openRequests, sessions, tasks } from "../api/queries";
import { micros, number, oneLine, plural, tick } from "../lib/format";
import { restOf } from "../lib/listing";
import { sentence } from "../lib/words";
import { Ago, Chip, Empty, Heading, Waiting } from "../parts/basics";

/** So many entries a picture has; what there is beyond them is on a page of its own. */
const BARS_MAX = 8;

export function OverviewPage() {
  const [search, setSearch] = useSearchParams();
  const hours = Number(search.get("hours")) || 24;
  const query = useQuery(activity(hours));
  const found = query.data;
  return (
    <>
      <Heading title="Overview">
        <SegmentedControl
          size="xs"
          aria-label="Of which time"
          value={String(hours)}
          onChange={(value) => setSearch(value === "24" ? {} : { hours: value }, { replace: true })}
          data={[
            { value: "6", label: "6 hours" },
            { value: "24", label: "A day" },
            { value: "168", label: "A week" },
          ]}
        />
      </Heading>
      <div className="cards">
        <Figures found={found} />
        {found ? (
          <>
            <Verdicts found={found} hours={hours} />
            <Pending />
            <Classes found={found} />
            <Slowest found={found} />
            <Busiest found={found} />
          </>
        ) : (
          <div className="c12">
            <Waiting query={query} />
          </div>
        )}
      </div>
    </>
  );
}

function Figures({ found }: { found?: Activity }) {
  const open = useQuery(openRequests);
  const live = useInfiniteQuery(tasks({ state: "live" }));
  const now = useInfiniteQuery(sessions({ state: "live" }));
  const count = (query: typeof live | typeof now) => {
    const pages = query.data?.pages as { entries: unknown[]; next?: number }[] | undefined;
    if (!pages) return query.error ? "—" : "…";
    const counted = pages.reduce((sum, page) => sum + page.entries.length, 0);
    return `${number(counted)}${restOf({ pages }) === undefined ? "" : "+"}`;
  };
  const waiting = open.data?.entries.length ?? 0;
  const parts = found?.parts ?? [];
  const sum = (name: "allowed" | "approved" | "refused") => parts.reduce((total, part) => total + part[name], 0);
  const all = sum("allowed") + sum("approved") + sum("refused");
  return (
    <>
      <Figure
        to="/requests"
        name="Requests waiting"
        value={open.data ? `${number(waiting)}${open.data.isMore ? "+" : ""}` : "…"}
        tone={waiting ? "warn" : undefined}
      />
      <Figure to="/tasks" name="Live tasks" value={count(live)} />
      <Figure to="/sessions?state=live" name="Live sessions" value={count(now)} />
      <Figure
        to="/sessions?outcome=refused"
        name="Refused"
        value={found ? number(sum("refused")) : "…"}
        note={found && all > 0 ? `of ${plural(all, "operation")}` : undefined}
      />
    </>
  );
}

function Figure(props: { to: string; name: string; value: string; note?: string; tone?: "warn" }) {
  return (
    <Link to={props.to} className="panel pad c3" style={{ color: "inherit" }}>
      <div className="muted small">{props.name}</div>
      <div className="row" style={{ alignItems: "baseline" }}>
        <span className="figure" style={props.tone ? { color: "var(--warn)" } : undefined}>
          {props.value}
        </span>
        {props.note ? <span className="muted small">{props.note}</span> : null}
      </div>
    </Link>
  );
}

const Card = ({ title, size, children }: { title: string; size: string; children: ReactNode }) => (
  <section className={`panel pad ${size}`} aria-label={title}>
    <h2>{title}</h2>
    {children}
  </section>
);

const SERIES = [
  { name: "allowed", label: "allowed by policy", color: "var(--good)" },
  { name: "approved", label: "approved by a person", color: "var(--warn)" },
  { name: "refused", label: "refused", color: "var(--bad)" },
];

function Verdicts({ found, hours }: { found: Activity; hours: number }) {
  const data = found.parts.map((part) => ({ ...part, at: tick(part.begins, hours) }));
  const total = found.parts.reduce((sum, part) => sum + part.allowed + part.approved + part.refused, 0);
  return (
    <Card title="What became of operations?" size="c8">
      {total === 0 ? (
        <Empty title="Nothing was asked in this time">
          <p className="small">
            Of targets that you oversee: whoever may approve on a target, or administers the gateway.
          </p>
        </Empty>
      ) : (
        <>
          <div aria-hidden="true">
            <BarChart
              h={230}
              data={data}
              dataKey="at"
              type="stacked"
              series={SERIES}
              tickLine="none"
              gridAxis="x"
              barChartProps={{ accessibilityLayer: false }}
              withTooltip
              barProps={{ isAnimationActive: false }}
              yAxisProps={{ width: 44, allowDecimals: false }}
              valueFormatter={number}
            />
          </div>
          <div className="legend">
            {SERIES.map((series) => (
              <span key={series.name}>
                <i style={{ background: series.color }} />
                {series.label}
              </span>
            ))}
          </div>
          <table className="quiet">
            <caption>Operations by what became of them</caption>
            <tbody>
              {data
                .filter((part) => part.allowed + part.approved + part.refused > 0)
                .map((part) => (
                  <tr key={part.begins}>
                    <th scope="row">{part.at}</th>
                    <td>
                      {part.allowed} allowed, {part.approved} approved, {part.refused} refused
                    </td>
                  </tr>
                ))}
            </tbody>
          </table>
        </>
      )}
      {found.is_partial ? <p className="muted small">The journal goes further back than what was counted.</p> : null}
    </Card>
  );
}

function Pending() {
  const open = useQuery(openRequests);
  const all = open.data?.entries ?? [];
  const entries = [...all].reverse().slice(0, 6);
  return (
    <Card title="Who waits for an answer?" size="c4">
      <Waiting query={open} />
      {open.data && entries.length === 0 ? <Empty title="Nobody" /> : null}
      <ul className="list stack" style={{ gap: 10 }}>
        {entries.map((request) => (
          <li key={request.id}>
            <div className="row small muted">
              {request.identity} <Ago time={request.opened} />
            </div>
            <Link className="clip" to={`/requests/${request.id}`}>
              {oneLine(
                request.kind === "operation"
                  ? sentence(request.accesses, request.facts) || request.title
                  : `a task on ${request.targets.join(", ")}`,
                120,
              )}
            </Link>
          </li>
        ))}
      </ul>
      {all.length > entries.length ? <Link to="/requests">All {number(all.length)}</Link> : null}
    </Card>
  );
}

interface Bar {
  name: ReactNode;
  key: string;
  value: number;
  shown: string;
  note?: string;
}

function Bars({ bars, empty }: { bars: Bar[]; empty: string }) {
  const most = Math.max(...bars.map((bar) => bar.value), 1);
  if (bars.length === 0) return <span className="muted">{empty}</span>;
  return (
    <div className="bars">
      {bars.slice(0, BARS_MAX).map((bar) => (
        <div key={bar.key} className="budget small">
          <span className="wrap">{bar.name}</span>
          <span className="figures">
            {bar.shown} {bar.note ? <span className="muted">{bar.note}</span> : null}
          </span>
          <div className="track" aria-hidden="true">
            <i style={{ width: `${(bar.value / most) * 100}%` }} />
          </div>
        </div>
      ))}
      {bars.length > BARS_MAX ? <span className="muted small">and {number(bars.length - BARS_MAX)} more</span> : null}
    </div>
  );
}

function Classes({ found }: { found: Activity }) {
  const bars = Object.entries(found.masked)
    .sort(([, one], [, other]) => other - one)
    .map(([name, count]) => ({
      key: name,
      name: name.startsWith("(") ? name : <Link to={`/sessions?class=${encodeURIComponent(name)}`}>{name}</Link>,
      value: count,
      shown: number(count),
    }));
  return (
    <Card title="What was masked?" size="c4">
      <Bars bars={bars} empty="No value was, in sessions that ended." />
    </Card>
  );
}

function Slowest({ found }: { found: Activity }) {
  const bars = found.targets
    .filter((target) => target.answers > 0)
    .map((target) => ({ target, mean: target.waited_micros / target.answers }))
    .sort((one, other) => other.mean - one.mean)
    .map(({ target, mean }) => ({
      key: target.target,
      name: <Link to={`/sessions?target=${encodeURIComponent(target.target)}`}>{target.target}</Link>,
      value: mean,
      shown: micros(Math.round(mean)),
      note: `over ${plural(target.answers, "answer")}`,
    }));
  return (
    <Card title="Which targets answer slowly?" size="c4">
      <Bars bars={bars} empty="No session ended yet that waited for an answer." />
    </Card>
  );
}

function Busiest({ found }: { found: Activity }) {
  return (
    <Card title="Who is busy?" size="c4">
      {found.identities.length === 0 ? <span className="muted">Nobody.</span> : null}
      <Bars
        empty=""
        bars={found.identities.map((identity) => ({
          key: identity.identity,
          name: (
            <>
              <Link to={`/sessions?identity=${encodeURIComponent(identity.identity)}`}>{identity.identity}</Link>{" "}
              {identity.refused > 0 ? <Chip tone="bad">{number(identity.refused)} refused</Chip> : null}
            </>
          ),
          value: identity.operations,
          shown: plural(identity.operations, "operation"),
        }))}
      />
    </Card>
  );
}
