/** Makes of the moments of a replay what a page shows: each operation with all that came back for it. */

import type { Moment } from "../api/client";

export interface Result {
  columns: string[];
  rows: (string | null)[][];
  /** Rows that are not shown one by one. */
  more: number;
}

export interface Said {
  kind: "done" | "problem" | "note";
  text: string;
}

/** One operation, or what came without any. */
export interface Scene {
  /** The place of its first moment, by which it is linked to. */
  place: number;
  /** Microseconds since the session began. */
  at: number;
  ends: number;
  asked?: { outcome: string; request?: string; number: number; statement: string };
  results: Result[];
  said: Said[];
  /** An answer over HTTP. */
  status?: string;
  fields: [string, string][];
  lines: string[];
  isCut: boolean;
}

const begin = (moment: Moment): Scene => ({
  place: moment.place,
  at: moment.at,
  ends: moment.at,
  results: [],
  said: [],
  fields: [],
  lines: [],
  isCut: false,
});

/** Answers come in the order of what was asked; of what was only prepared none comes. */
export function scenes(moments: Moment[]): Scene[] {
  const all: Scene[] = [];
  const waiting: Scene[] = [];
  let current: Scene | undefined;
  let isOver = true;
  for (const moment of moments) {
    if (moment.kind === "asked") {
      const { outcome, request, number, statement } = moment;
      const scene = { ...begin(moment), asked: { outcome, request: request ?? undefined, number, statement } };
      all.push(scene);
      if (outcome !== "prepare") waiting.push(scene);
      continue;
    }
    if (moment.kind === "turn") {
      isOver = true;
      continue;
    }
    if (isOver && waiting.length > 0) {
      current = waiting.shift();
      isOver = false;
    }
    if (!current) {
      current = all.at(-1) ?? begin(moment);
      if (all.length === 0) all.push(current);
    }
    current.ends = Math.max(current.ends, moment.at);
    isOver = take(current, moment) || isOver;
  }
  return all;
}

/** Adds what was seen to a scene; says whether its answer is over with it. */
function take(scene: Scene, moment: Moment): boolean {
  switch (moment.kind) {
    case "columns":
      scene.results.push({ columns: moment.names, rows: [], more: 0 });
      return false;
    case "row": {
      const values = moment.values.map((value) => value ?? null);
      const last = scene.results.at(-1);
      if (last && (last.columns.length === 0 || last.columns.length === values.length)) last.rows.push(values);
      else scene.results.push({ columns: [], rows: [values], more: 0 });
      return false;
    }
    case "rows": {
      const last = scene.results.at(-1);
      if (last) last.more += moment.count;
      return false;
    }
    case "done":
    case "problem":
      scene.said.push({ kind: moment.kind, text: moment.text });
      return true;
    case "note":
      scene.said.push({ kind: "note", text: moment.text });
      return false;
    case "head":
      scene.status = moment.text;
      return false;
    case "field":
      scene.fields.push([moment.name, moment.value]);
      return false;
    case "text":
      scene.lines.push(moment.text);
      return false;
    case "cut":
      scene.isCut = true;
      return false;
    case "asked":
    case "turn":
      return false;
  }
}
