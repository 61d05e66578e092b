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
  /** Whether the target did not run it, since something before it in its turn failed. */
  isPassedOver?: boolean;
}

/**
 * What was asked in one turn is answered in its order before the turn ends; of what was only prepared nothing comes back. Once
 * something fails, the target passes over the rest of its turn. Where one thing is asked at a time there are no turns: what
 * comes is for what was asked last.
 */
export function scenes(moments: Moment[]): Scene[] {
  const all: Scene[] = [];
  /** What was asked and not answered yet, with its turn. */
  let waiting: { scene: Scene; turn: number }[] = [];
  let current: Scene | undefined;
  /** What was only prepared may fail all the same. */
  let prepared: { scene: Scene; turn: number } | undefined;
  let turn = 0;
  let isOver = true;
  for (const moment of moments) {
    const { place, at } = moment;
    if (moment.kind === "asked") {
      const { outcome, request, number, statement } = moment;
      const scene: Scene = {
        place,
        at,
        ends: at,
        asked: { outcome, request: request ?? undefined, number, statement },
        parts: [],
      };
      all.push(scene);
      if (typeof moment.turn !== "number") {
        current = scene;
        isOver = false;
      } else if (outcome === "prepare") {
        prepared = { scene, turn: moment.turn };
      } else {
        waiting.push({ scene, turn: moment.turn });
      }
      continue;
    }
    if (moment.kind === "turn") {
      const hasFailed = current?.parts.some((part) => part.kind === "problem") ?? false;
      for (const { scene } of waiting.filter((asked) => asked.turn <= turn)) scene.isPassedOver = hasFailed;
      waiting = waiting.filter((asked) => asked.turn > turn);
      turn += 1;
      isOver = true;
      current = undefined;
      continue;
    }
    if (isOver && waiting[0] && waiting[0].turn <= turn) {
      current = waiting.shift()?.scene;
      isOver = false;
    }
    current ??= prepared?.turn === turn ? prepared.scene : undefined;
    if (!current) {
      // Nothing was asked that it could answer.
      current = { place, at, ends: at, parts: [] };
      all.push(current);
    }
    current.ends = Math.max(current.ends, at);
    take(current, moment);
    isOver ||= moment.kind === "problem" || moment.kind === "done";
  }
  return all;
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
