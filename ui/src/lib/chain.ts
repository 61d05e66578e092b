/** Who works for whom, and who sent them. */

import { revealed } from "./hidden";

export interface Chained {
  identity: string;
  on_behalf_of?: string | null;
  /** Who acted before whoever works, the last of them first, in the words of whoever vouched for them. */
  actors?: string[];
}

/** The whole chain as a person says it: whoever works first, and whoever it is for last. */
export function chain({ identity, on_behalf_of: behalf, actors = [] }: Chained): string {
  const senders = actors.map((actor) => `, sent by ${revealed(actor)}`).join("");
  return `${identity}${senders}${behalf ? `, on behalf of ${behalf}` : ""}`;
}
