/** What is behind the gateway. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import type { Target } from "../api/client";
import { targets } from "../api/queries";
import { number } from "../lib/format";
import { revealed } from "../lib/hidden";
import { Chip, Heading, Waiting } from "../parts/basics";
import { type Column, Grid } from "../parts/grid";

const COLUMNS: Column<Target>[] = [
  { name: "Name", cell: (target) => <strong>{target.name}</strong> },
  { name: "Protocol", cell: (target) => <Chip>{target.protocol}</Chip> },
  {
    name: "Where the gateway reaches it",
    look: "mono named",
    cell: (target) => target.address || <span className="muted">for those who oversee it</span>,
  },
  { name: "Where clients reach it", look: "mono named", cell: (target) => target.listen ?? "—" },
  {
    name: "What is held",
    look: "named",
    cell: (target) => (target.on_hold === "wait" ? "waits on its connection" : "is refused, and comes again"),
  },
  {
    name: "Sessions now",
    place: "end",
    look: "named",
    cell: (target) => <Link to={`/sessions?target=${target.name}&state=live`}>{number(target.sessions)}</Link>,
  },
];

/** Columns that the configuration names and that are not what it takes them for, in the gateway's words: what it says of them protects nothing. */
export function Misnamed({ entries }: { entries: readonly Target[] }) {
  const lines = entries.flatMap((target) => target.misnamed ?? []);
  if (lines.length === 0) return null;
  return (
    <section className="panel pad" aria-label="Columns that are named wrongly" style={{ marginTop: 12 }}>
      <h2>The configuration names columns that are not what it takes them for</h2>
      <ul className="words">
        {lines.map((line, place) => (
          <li key={place} data-weight="danger">
            <i aria-hidden="true" />
            <span className="wrap">{revealed(line)}</span>
          </li>
        ))}
      </ul>
      <p className="small muted" style={{ margin: "6px 0 0" }}>
        By the newest survey of each target. What the configuration says of such a column protects nothing.
      </p>
    </section>
  );
}

export function TargetsPage() {
  const all = useQuery(targets);
  return (
    <>
      <Heading title="Targets" note="What agents and people reach through this gateway." />
      <Waiting query={all} />
      {all.data ? (
        <>
          <div className="panel scroll">
            <Grid columns={COLUMNS} entries={all.data} keyOf={(target) => target.name} isStacked />
          </div>
          <Misnamed entries={all.data} />
        </>
      ) : null}
    </>
  );
}
