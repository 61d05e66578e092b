/** Verifies a bundle beside the page, so that a large one does not stop it. */

import { moment, plural } from "./format";

export interface Report {
  sound: boolean;
  /** What the bundle holds, by name. */
  facts: [string, string][];
  findings: { kind: string; what: string }[];
}

/** What the verifier says, as it says it. */
export interface Verdict {
  fault?: string;
  sound: boolean;
  origin?: string;
  created?: string;
  selection?: string;
  checkpoint?: { size: number; root: string };
  records: number;
  operations: number;
  sessions: number;
  recordings: number;
  policies: number;
  findings: { kind: string; what: string }[];
  omitted: number;
}

export async function verify(bundle: File, key: string): Promise<Report> {
  const worker = new Worker(new URL("./verifier.worker.ts", import.meta.url), { type: "module" });
  try {
    const verdict = await new Promise<Verdict>((resolve, reject) => {
      worker.onmessage = (message: MessageEvent<Verdict>) => resolve(message.data);
      worker.onerror = (event) => reject(new Error(event.message || "the verifier could not be loaded"));
      worker.postMessage({ bundle, key });
    });
    if (verdict.fault) throw new Error(verdict.fault);
    return read(verdict);
  } finally {
    worker.terminate();
  }
}

/** Kinds of findings that others follow from. */
const CAUSES = ["bundle", "manifest", "signature", "record", "recording"];

function read(verdict: Verdict): Report {
  const { checkpoint, findings, omitted } = verdict;
  const facts: [string, string][] = [];
  if (verdict.origin) facts.push(["Log", verdict.origin]);
  if (verdict.selection) facts.push(["Holds", verdict.selection]);
  if (verdict.created) facts.push(["Made", moment(verdict.created)]);
  facts.push([
    "In it",
    [
      plural(verdict.records, "record"),
      plural(verdict.operations, "operation"),
      plural(verdict.sessions, "session"),
      plural(verdict.recordings, "recording"),
      plural(verdict.policies, "policy file"),
    ].join(", "),
  ]);
  if (checkpoint) facts.push(["Checkpoint", `of ${checkpoint.size} records, root ${checkpoint.root}`]);
  const more = omitted > 0 ? [{ kind: "more", what: `${omitted} findings that are not listed` }] : [];
  // What was changed comes before what follows from that.
  const rank = (kind: string) => (CAUSES.includes(kind) ? 0 : 1);
  const ordered = [...findings].sort((one, other) => rank(one.kind) - rank(other.kind));
  return { sound: verdict.sound, facts, findings: [...ordered, ...more] };
}
