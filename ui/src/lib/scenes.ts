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

/** What was asked and is not answered yet. */
interface Open {
  scene: Scene;
  turn: number;
  isPrepared: boolean;
}

/**
 * What was asked in one turn is answered in its order before the turn ends; once something fails, the target passes over the
 * rest of its turn. What is prepared is answered by that alone; what was prepared before says when its answer begins, and
 * all else is answered by whatever comes. Where one thing is asked at a time there are no turns: what comes is for what was asked last.
 */
export function scenes(moments: Moment[]): Scene[] {
  const all: Scene[] = [];
  let open: Open[] = [];
  let current: Scene | undefined;
  let turn = 0;
  /** Whether the answer that `current` has may go on, and whether it has begun by saying so. */
  let isOver = true;
  let hasBegun = false;
  /** What answers nothing, since something was asked. */
  let loose: Scene | undefined;
  const next = (wanted: (one: Open) => boolean): Scene | undefined => {
    const found = open.find((one) => one.turn <= turn && wanted(one));
    open = open.filter((one) => one !== found);
    return found?.scene;
  };
  for (const moment of moments) {
    const { place, at } = moment;
    switch (moment.kind) {
      case "asked": {
        const scene = sceneOf(moment);
        all.push(scene);
        loose = undefined;
        if (typeof moment.turn === "number") {
          open.push({ scene, turn: moment.turn, isPrepared: moment.outcome === "prepare" });
        } else {
          current = scene;
          isOver = false;
        }
        continue;
      }
      case "prepared":
        next((one) => one.isPrepared);
        continue;
      case "begun":
        // A notice may have come before it.
        if (isOver || hasBegun) current = next((one) => !one.isPrepared) ?? current;
        isOver = false;
        hasBegun = true;
        continue;
      case "turn": {
        const hasFailed = current?.parts.some((part) => part.kind === "problem") ?? false;
        for (const { scene } of open.filter((one) => one.turn <= turn)) scene.isPassedOver = hasFailed;
        open = open.filter((one) => one.turn > turn);
        turn += 1;
        isOver = true;
        hasBegun = false;
        current = undefined;
        loose = undefined;
        continue;
      }
    }
    const isProblem = moment.kind === "problem";
    // An answer may have several parts. What fails after its end is the next, whatever that was to be.
    const answered = !current || (isOver && isProblem) ? next((one) => isProblem || !one.isPrepared) : undefined;
    if (answered) {
      current = answered;
      isOver = false;
      hasBegun = false;
    }
    let scene = current ?? loose;
    if (!scene) {
      // Nothing was asked that it could answer.
      scene = { place, at, ends: at, parts: [] };
      all.push(scene);
      loose = scene;
    }
    scene.ends = Math.max(scene.ends, at);
    take(scene, moment);
    isOver ||= isProblem || moment.kind === "done";
  }
  return all;
}

function sceneOf({ place, at, outcome, request, number, statement }: Moment & { kind: "asked" }): Scene {
  return { place, at, ends: at, asked: { outcome, request: request ?? undefined, number, statement }, parts: [] };
}

/** Adds what was seen to a scene. */
function take(scene: Scene, moment: Exclude<Moment, { kind: "asked" | "prepared" | "begun" | "turn" }>) {
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
