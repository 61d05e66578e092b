/** Makes of the moments of a replay what a page shows: each operation with all that came back for it. */

import type { Moment } from "../api/client";

/** Something that the client saw, in the order in which it did. */
export type Part =
  | {
      kind: "rows";
      columns: string[];
      rows: (string | null)[][];
      more: number;
      /** The places of columns that are masked as a whole. */
      masked?: number[];
    }
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
  /** Whether it was only made ready to be run. */
  isUnrun?: boolean;
}

/** Something that the target answers, in the order in which it was sent. */
interface Due {
  turn: number;
  /** What it answers: that something is prepared, that it is bound, what it is described by, or what running it gives. */
  kind: "prepare" | "bind" | "describe" | "run";
  /** Whose it is, where that is known. */
  scene?: Scene;
}

/**
 * Gives each operation what came back for it. The recording says of each thing that the target was told to run or to describe which
 * operation it was, and answers come in that order, so that nothing is guessed. Once something fails, the target passes over the rest of
 * its turn. Where there are no turns one thing is asked at a time, and what comes is for what was asked last.
 */
class Playing {
  readonly all: Scene[] = [];
  /** Those that were bound, and those that were told to run. */
  private readonly bound: Scene[] = [];
  private readonly byNumber = new Map<number, Scene>();
  private due: Due[] = [];
  /** Whose the answer is that comes now, and whether it may go on. */
  private current?: Scene;
  private isOver = true;
  private turn = 0;
  private hasFailed = false;
  /** What the rows that come next are called. */
  private columns?: string[];
  /** Which columns of the result at hand are masked. */
  private masked?: number[];
  /** The last that was prepared or bound in this turn: what is described, where the recording is of before that was said. */
  private ready?: Scene;
  private tellsDescriptions = false;
  /** What the rows of statements are called that were described. */
  private readonly described = new Map<string, string[]>();
  private readonly started = new Set<Scene>();

  play(moment: Moment) {
    switch (moment.kind) {
      case "asked":
        return this.asked(moment);
      case "run":
        return this.starts(moment.turn, this.byNumber.get(moment.number ?? -1));
      case "prepared":
        this.ready = this.take((one) => one.kind === "prepare")?.scene;
        return;
      case "bound":
        this.ready = this.take((one) => one.kind === "bind")?.scene;
        return;
      case "turn":
        return this.ends();
      case "columns":
        return this.called(moment.names);
      case "describe":
        this.tellsDescriptions = true;
        this.due.push({ turn: moment.turn, kind: "describe", scene: this.byNumber.get(moment.number ?? -1) });
        return;
      case "masked":
        this.masked = moment.columns;
        return;
      case "problem":
        return this.fails(moment);
      case "note":
        return this.see((this.isOver ? this.next()?.scene : undefined) ?? this.current, moment);
      default:
        return this.answers(moment);
    }
  }

  private asked(moment: Moment & { kind: "asked" }) {
    const { place, at, outcome, request, number, statement } = moment;
    const asked = { outcome, request: request ?? undefined, number, statement };
    const scene: Scene = { place, at, ends: at, asked, parts: [] };
    this.all.push(scene);
    this.byNumber.set(number, scene);
    if (typeof moment.turn !== "number") {
      // Messages go both ways, and none is an answer to another.
      this.current = statement.startsWith("message to ") ? undefined : scene;
      this.isOver = false;
      return;
    }
    const kind = outcome === "prepare" ? "prepare" : outcome === "refused" ? "run" : "bind";
    this.due.push({ turn: moment.turn, kind, scene });
    if (kind === "bind") this.bound.push(scene);
  }

  private starts(turn: number, scene: Scene | undefined) {
    this.due.push({ turn, kind: "run", scene });
    if (scene) this.started.add(scene);
  }

  /** What is described has its names for when it runs; a statement by itself says what its rows are called before them. */
  private called(names: string[]) {
    const description = this.take((one) => one.kind === "describe");
    const of = description ? description.scene : this.tellsDescriptions ? undefined : this.ready;
    if (of?.asked && names.length > 0) this.described.set(of.asked.statement, names);
    else if (of?.asked) this.described.delete(of.asked.statement);
    else if (!description && names.length > 0) this.columns = names;
  }

  /** What is answered next, in this turn. */
  private next(): Due | undefined {
    const first = this.due[0];
    return first && first.turn <= this.turn ? first : undefined;
  }

  private take(wanted: (one: Due) => boolean): Due | undefined {
    const place = this.due.findIndex((one) => one.turn > this.turn || wanted(one));
    const found = this.due[place];
    if (!found || found.turn > this.turn) return undefined;
    // Answers come in order: whatever was to be described before is over.
    this.due = this.due.filter((one, at) => at > place || (at < place && one.kind !== "describe"));
    return found;
  }

  /** What fails is what runs, or else what would have been answered next. */
  private fails(moment: Seen) {
    if (!this.current || this.isOver) this.current = this.take(() => true)?.scene ?? this.current;
    this.hasFailed = true;
    this.isOver = true;
    this.see(this.current, moment);
  }

  private answers(moment: Seen) {
    if (!this.current || this.isOver) {
      const next = this.take((one) => one.kind === "run");
      if (next) {
        this.current = next.scene ?? this.apart(moment);
        this.isOver = false;
      }
    }
    this.see(this.current, moment);
    this.isOver ||= moment.kind === "done";
  }

  private ends() {
    for (let next = this.next(); next; next = this.next()) {
      // What was only to be described may have been made ready long before.
      const isLost = this.hasFailed && next.kind !== "describe";
      if (next.scene && isLost && next.scene.parts.length === 0) next.scene.isPassedOver = true;
      this.due.shift();
    }
    this.columns = undefined;
    this.ready = undefined;
    this.turn += 1;
    this.isOver = true;
    this.hasFailed = false;
    this.current = undefined;
  }

  /** A scene of what was not asked here. */
  private apart({ place, at }: Moment): Scene {
    const last = this.all.at(-1);
    if (last && !last.asked) return last;
    const scene: Scene = { place, at, ends: at, parts: [] };
    this.all.push(scene);
    return scene;
  }

  private see(of: Scene | undefined, moment: Seen) {
    const scene = of ?? this.apart(moment);
    scene.ends = Math.max(scene.ends, moment.at);
    const isFirst = !scene.parts.some((part) => part.kind === "rows");
    const columns = this.columns ?? (isFirst ? this.described.get(scene.asked?.statement ?? "") : undefined);
    const fits = moment.kind !== "row" || moment.values.length === columns?.length;
    if (columns && ["row", "rows", "done"].includes(moment.kind)) {
      if (fits) scene.parts.push({ kind: "rows", columns, rows: [], more: 0 });
      this.columns = undefined;
    }
    take(scene, moment);
    const last = scene.parts.at(-1);
    if (moment.kind === "row" && last?.kind === "rows") last.masked = this.masked;
    else if (moment.kind !== "note") this.masked = undefined;
  }

  /** The scenes, once there are no more moments. */
  end(): Scene[] {
    for (const scene of this.bound) {
      if (!this.started.has(scene) && scene.parts.length === 0 && !scene.isPassedOver) scene.isUnrun = true;
    }
    return this.all;
  }
}

export function scenes(moments: Moment[]): Scene[] {
  const playing = new Playing();
  for (const moment of moments) playing.play(moment);
  return playing.end();
}

/** What a client saw, but for what rows are called. */
type Seen = Exclude<
  Moment,
  { kind: "asked" | "run" | "describe" | "prepared" | "bound" | "turn" | "columns" | "masked" }
>;

/** Adds what was seen to a scene. */
function take(scene: Scene, moment: Seen) {
  const { parts } = scene;
  const last = parts.at(-1);
  switch (moment.kind) {
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
