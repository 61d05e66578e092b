/** What is behind the gateway. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { targets } from "../api/queries";
import { number } from "../lib/format";
import { Chip, Heading, Waiting } from "../parts/basics";

export function TargetsPage() {
  const all = useQuery(targets);
  return (
    <>
      <Heading title="Targets" note="What agents and people reach through this gateway." />
      <Waiting query={all} />
      {all.data ? (
        <div className="panel scroll">
          <table className="grid">
            <thead>
              <tr>
                <th>Name</th>
                <th>Protocol</th>
                <th>Where the gateway reaches it</th>
                <th>Where clients reach it</th>
                <th>What is held</th>
                <th className="end">Sessions now</th>
              </tr>
            </thead>
            <tbody>
              {all.data.map((target) => (
                <tr key={target.name}>
                  <td>
                    <strong>{target.name}</strong>
                  </td>
                  <td>
                    <Chip>{target.protocol}</Chip>
                  </td>
                  <td className="mono">{target.address || <span className="muted">for those who oversee it</span>}</td>
                  <td className="mono">{target.listen ?? "—"}</td>
                  <td>{target.on_hold === "wait" ? "waits on its connection" : "is refused, and comes again"}</td>
                  <td className="end">
                    <Link to={`/sessions?target=${target.name}&state=live`}>{number(target.sessions)}</Link>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </>
  );
}
