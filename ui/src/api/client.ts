/** The gateway's API, by its own description: nothing here knows a field that docs/openapi.json does not. */

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Activity = Schemas["ActivityView"];
export type Backtest = Schemas["BacktestView"];
export type Change = Schemas["ChangeView"];
export type Checkpoints = Schemas["CheckpointsView"];
export type Explanation = Schemas["ExplanationView"];
export type Lockdown = Schemas["LockdownView"];
export type Me = Schemas["Me"];
export type Moment = Schemas["MomentView"];
export type Operation = Schemas["OperationView"];
export type Policy = Schemas["PolicyView"];
export type Replay = Schemas["ReplayView"];
export type Request = Schemas["RequestView"];
export type Revision = Schemas["RevisionView"];
export type Session = Schemas["SessionView"];
export type Target = Schemas["TargetView"];
export type Task = Schemas["TaskView"];

export const api = createClient<paths>({ baseUrl: window.location.origin, credentials: "same-origin" });

/** What the gateway says of a call that did not work (RFC 9457): what happened, and the next step. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    title: string,
    readonly detail: string,
  ) {
    super(title);
  }

  static of(error: unknown): Problem {
    if (error instanceof Problem) return error;
    if (!(error instanceof TypeError)) return new Problem(-1, "that did not work", String(error));
    return new Problem(0, "the gateway does not answer", "Look whether it runs, and whether this machine reaches it");
  }
}

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer, or the problem that there was. */
export async function answered<T>(call: Promise<Answered<T>>): Promise<{ data: T; response: Response }> {
  const { data, error, response } = await call;
  if (!response.ok) {
    const said = (error ?? {}) as { title?: string; detail?: string };
    throw new Problem(response.status, said.title ?? `the gateway answered ${response.status}`, said.detail ?? "");
  }
  return { data: data as T, response };
}

export const must = async <T>(call: Promise<Answered<T>>): Promise<T> => (await answered(call)).data;

export interface Page<T> {
  entries: T[];
  /** What `before` is for the next page, if there is one. */
  next?: number;
}

/** A part of a listing; what comes next the header `Link` says (RFC 8288). */
export async function page<T>(call: Promise<Answered<T[]>>): Promise<Page<T>> {
  const { data, response } = await answered(call);
  const next = /[?&]before=(\d+)[^>]*>; rel="next"/.exec(response.headers.get("link") ?? "")?.[1];
  return { entries: data, next: next === undefined ? undefined : Number(next) };
}
