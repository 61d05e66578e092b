/** Makes of the moments of a replay what a page shows: each operation with all that came back for it. */

import type { Moment } from "../api/client";

/** Something that the client saw, in the order in which it did. */
export type Part =
  | { kind: "rows"; columns: string[]; rows: (string | null)[][]; more: number }
  | { kind: "done" | "problem" | "note"; text: string }
  | { kind: "fields"; fields: [string, string][] }
  | { kind: "text"; lines: string[] }
  | { kind: "cut" };

/** One operation, or what came without any. */
export interface Scene {
  /** The place of its first moment, by which it is linked to. */
  place: number;
  /** Microseconds since the session began. */
  at: number;
  ends: number;
  asked?: { outcome: string; request?: string; number: number; statement: string };
  /** The status of an answer over HTTP. */
  status?: string;
  parts: Part[];
  /** Whether something of its answer may stand elsewhere, or something of another's here. */
  isUnsure?: boolean;
}

/**
 * Answers come in the order of what was asked; of what was only prepared none comes. Where something fails, what was asked
 * together with it is passed over by the target, and has no answer either.
 */
export function scenes(moments: Moment[]): Scene[] {
  const all: Scene[] = [];
  let waiting: Scene[] = [];
  let current: Scene | undefined;
  let isOver = true;
  let hasFailed = false;
  let isAnswered = false;
  /** How many scenes there were at the last turn: what was asked before it has its answer. */
  let turned = 0;
  for (const moment of moments) {
    const { place, at } = moment;
    if (moment.kind === "asked") {
      const { outcome, request, number, statement } = moment;
      const asked = { outcome, request: request ?? undefined, number, statement };
      const scene = { place, at, ends: at, asked, parts: [] };
      all.push(scene);
      if (outcome !== "prepare") waiting.push(scene);
      continue;
    }
    if (moment.kind === "turn") {
      if (hasFailed) waiting = passedOver(waiting, current);
      // What has nothing to answer is answered by that.
      else if (!isAnswered) waiting.shift();
      isOver = true;
      hasFailed = false;
      isAnswered = false;
      current = undefined;
      turned = all.length;
      continue;
    }
    if (isOver && waiting.length > 0) {
      current = waiting.shift();
      isOver = false;
    }
    if (!current) {
      // What was prepared may fail; what comes when nothing was asked is no answer.
      current = all.length > turned ? all.at(-1) : undefined;
      if (!current) {
        current = { place, at, ends: at, parts: [] };
        all.push(current);
      }
    }
    current.ends = Math.max(current.ends, at);
    take(current, moment);
    isAnswered = true;
    hasFailed ||= moment.kind === "problem";
    isOver ||= moment.kind === "problem" || moment.kind === "done";
  }
  return all;
}

/**
 * What still waits for an answer after something failed. What was asked before that came back was passed over, unless it
 * was for another turn, which nothing tells: so all of it is marked.
 */
function passedOver(waiting: Scene[], failed: Scene | undefined): Scene[] {
  const isLater = (scene: Scene) => scene.at > (failed?.ends ?? 0);
  for (const scene of waiting.filter((scene) => !isLater(scene))) scene.isUnsure = true;
  return waiting.filter(isLater);
}

/** Adds what was seen to a scene. */
function take(scene: Scene, moment: Exclude<Moment, { kind: "asked" | "turn" }>) {
  const { parts } = scene;
  const last = parts.at(-1);
  switch (moment.kind) {
    case "columns":
      parts.push({ kind: "rows", columns: moment.names, rows: [], more: 0 });
      break;
    case "row": {
      const values = moment.values.map((value) => value ?? null);
      if (last?.kind === "rows") last.rows.push(values);
      else parts.push({ kind: "rows", columns: [], rows: [values], more: 0 });
      break;
    }
    case "rows":
      if (last?.kind === "rows") last.more += moment.count;
      break;
    case "done":
    case "problem":
    case "note":
      parts.push({ kind: moment.kind, text: moment.text });
      break;
    case "head":
      scene.status = moment.text;
      break;
    case "field":
      if (last?.kind === "fields") last.fields.push([moment.name, moment.value]);
      else parts.push({ kind: "fields", fields: [[moment.name, moment.value]] });
      break;
    case "text":
      if (last?.kind === "text") last.lines.push(moment.text);
      else parts.push({ kind: "text", lines: [moment.text] });
      break;
    case "cut":
      parts.push({ kind: "cut" });
      break;
  }
}
