/** What is behind the gateway. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import type { Target } from "../api/client";
import { targets } from "../api/queries";
import { number } from "../lib/format";
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

export function TargetsPage() {
  const all = useQuery(targets);
  return (
    <>
      <Heading title="Targets" note="What agents and people reach through this gateway." />
      <Waiting query={all} />
      {all.data ? (
        <div className="panel scroll">
          <Grid columns={COLUMNS} entries={all.data} keyOf={(target) => target.name} isStacked />
        </div>
      ) : null}
    </>
  );
}
