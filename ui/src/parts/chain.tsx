/** Who works, for whom, and who sent them: the last is known of the task alone, and asked for by whatever was done under it. */

import { useQuery } from "@tanstack/react-query";
import { task as taskQuery } from "../api/queries";
import { type Chained, chain } from "../lib/chain";
import { TaskLink } from "./basics";

/** Who acted before whoever works under a task stays as it was. */
const useOrigin = (task: string) => useQuery({ ...taskQuery(task), refetchInterval: false });

interface ChainProps {
  identity: string;
  behalf?: string | null;
  /** By its id. */
  task: string;
}

export function Chain({ identity, behalf, task }: ChainProps) {
  const origin = useOrigin(task);
  const chained: Chained = { identity, on_behalf_of: behalf, actors: origin.data?.actors };
  return (
    <span className="wrap">
      {chain(chained)}
      {origin.isPending ? <span className="muted"> …</span> : null}
      {origin.error && !origin.data ? <span className="muted"> (who sent it could not be looked up)</span> : null}
    </span>
  );
}

/** The task whose token was handed on, of one that came from another. */
export function CameFrom({ task }: { task: string }) {
  const parent = useOrigin(task).data?.parent;
  if (!parent) return null;
  return (
    <>
      <dt>Came from</dt>
      <dd>
        <TaskLink id={parent} />
      </dd>
    </>
  );
}
