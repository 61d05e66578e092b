/** What pages ask, and under which name the answer is kept. */

import { type InfiniteData, infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { withThese } from "../lib/listing";
import { api, must, page, type Replay, type Request } from "./client";

export const me = queryOptions({
  queryKey: ["me"],
  queryFn: () => must(api.GET("/api/v1/me")),
});

export const version = queryOptions({
  queryKey: ["version"],
  queryFn: () => must(api.GET("/api/v1/version")),
  refetchInterval: 5_000,
});

export const targets = queryOptions({
  queryKey: ["targets"],
  queryFn: () => must(api.GET("/api/v1/targets")),
});

export const lockdowns = queryOptions({
  queryKey: ["lockdowns"],
  queryFn: () => must(api.GET("/api/v1/lockdowns")),
});

export const policies = queryOptions({
  queryKey: ["policies"],
  queryFn: () => must(api.GET("/api/v1/policies")),
});

export const revisions = queryOptions({
  queryKey: ["revisions"],
  queryFn: () => must(api.GET("/api/v1/policies/revisions")),
});

export const revision = (id: string) =>
  queryOptions({
    queryKey: ["revision", id],
    queryFn: () => must(api.GET("/api/v1/policies/revisions/{revision}", { params: { path: { revision: id } } })),
    enabled: id !== "",
    staleTime: Number.POSITIVE_INFINITY,
  });

export const checkpoints = queryOptions({
  queryKey: ["checkpoints"],
  queryFn: () => must(api.GET("/api/v1/checkpoints")),
  refetchInterval: 10_000,
});

export const activity = (hours: number) =>
  queryOptions({
    queryKey: ["activity", hours],
    queryFn: () => must(api.GET("/api/v1/activity", { params: { query: { hours } } })),
    refetchInterval: 15_000,
  });

/** So many pages of requests are looked through for those that a listing is about. */
const PAGES_MAX = 5;

export interface Requests {
  entries: Request[];
  /** Whether there are more than these. */
  isMore: boolean;
}

/** Requests of all pages, until there are enough of those that are kept. */
async function gathered(
  filter: RequestFilter,
  signal: AbortSignal,
  keep: (request: Request) => boolean,
  enough: number,
): Promise<Requests> {
  const entries: Request[] = [];
  let before: number | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const query = { ...filter, limit: 200, before };
    const { entries: found, next } = await page(api.GET("/api/v1/requests", { params: { query }, signal }));
    entries.push(...found.filter(keep));
    if (next === undefined) return { entries, isMore: false };
    if (entries.length >= enough) break;
    before = next;
  }
  return { entries, isMore: true };
}

export const openRequests = queryOptions({
  queryKey: ["requests", "open"],
  queryFn: ({ signal }) => gathered({ state: "open" }, signal, () => true, Number.POSITIVE_INFINITY),
});

export interface RequestFilter {
  state?: string;
  identity?: string;
  target?: string;
}

export const decidedRequests = (filter: RequestFilter) =>
  queryOptions({
    queryKey: ["requests", "decided", filter],
    queryFn: ({ signal }) => gathered(filter, signal, (request) => request.state !== "open", 200),
    placeholderData: keepPreviousData,
  });

export const requestsTo = (target: string) =>
  queryOptions({
    queryKey: ["requests", "to", target],
    queryFn: () => must(api.GET("/api/v1/requests", { params: { query: { target, limit: 200 } } })),
    enabled: target !== "",
  });

export const request = (id: string) =>
  queryOptions({
    queryKey: ["request", id],
    queryFn: () => must(api.GET("/api/v1/requests/{id}", { params: { path: { id } } })),
    enabled: id !== "",
  });

export interface TaskFilter {
  state?: string;
  identity?: string;
  target?: string;
}

/** Tasks; the newest, or those before one of them. */
export const tasks = (filter: TaskFilter, before?: number) =>
  infiniteQueryOptions({
    queryKey: ["tasks", filter, before],
    queryFn: ({ pageParam }) =>
      page(api.GET("/api/v1/tasks", { params: { query: { ...filter, limit: 100, before: pageParam } } })),
    initialPageParam: before,
    getNextPageParam: (last, pages) => withThese(last.next, pages.length),
  });

export const task = (id: string) =>
  queryOptions({
    queryKey: ["task", id],
    queryFn: () => must(api.GET("/api/v1/tasks/{id}", { params: { path: { id } } })),
    enabled: id !== "",
    refetchInterval: 5_000,
  });

export const requestsOfTask = (task: string) =>
  queryOptions({
    queryKey: ["requests", "of", task],
    queryFn: () => must(api.GET("/api/v1/requests", { params: { query: { task, limit: 200 } } })),
  });

/** A time so many hours ago; asked anew it is another. */
const ago = (hours: number | undefined) =>
  hours === undefined ? undefined : new Date(Date.now() - hours * 3_600_000).toISOString();

export interface SessionFilter {
  state?: string;
  identity?: string;
  target?: string;
  class?: string;
  task?: string;
  /** Of the last so many hours. */
  hours?: number;
  since?: string;
  until?: string;
}

/** Sessions; the newest, or those before one of them. */
export const sessions = ({ hours, ...filter }: SessionFilter, before?: number) =>
  infiniteQueryOptions({
    queryKey: ["sessions", filter, hours, before],
    queryFn: ({ pageParam, signal }) => {
      const query = { ...filter, since: ago(hours) ?? filter.since, limit: 100, before: pageParam };
      return page(api.GET("/api/v1/sessions", { params: { query }, signal }));
    },
    initialPageParam: before,
    getNextPageParam: (last, pages) => withThese(last.next, pages.length),
    placeholderData: keepPreviousData,
  });

export const session = (id: string) =>
  queryOptions({
    queryKey: ["session", id],
    queryFn: () => must(api.GET("/api/v1/sessions/{id}", { params: { path: { id } } })),
    enabled: id !== "",
  });

export interface OperationFilter {
  identity?: string;
  target?: string;
  outcome?: string;
  class?: string;
  text?: string;
  task?: string;
  hours?: number;
  since?: string;
  until?: string;
}

/** What a search finds stays as it is until it is asked for again; the newest, or what is before a record. */
export const operations = ({ hours, ...filter }: OperationFilter, before?: number) =>
  infiniteQueryOptions({
    queryKey: ["operations", filter, hours, before],
    queryFn: ({ pageParam, signal }) => {
      const query = { ...filter, since: ago(hours) ?? filter.since, limit: 100, before: pageParam };
      return page(api.GET("/api/v1/operations", { params: { query }, signal }));
    },
    initialPageParam: before,
    getNextPageParam: (last, pages) => withThese(last.next, pages.length),
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: false,
  });

/** The records of a session's operations, as far as one listing has them. */
export const recordsOf = (session: string) =>
  queryOptions({
    queryKey: ["done", "in", session],
    queryFn: ({ signal }) =>
      must(api.GET("/api/v1/operations", { params: { query: { session, limit: 1_000 } }, signal })),
  });

/** What was done under a task, the newest first. */
export const done = (task: string) =>
  infiniteQueryOptions({
    queryKey: ["done", task],
    queryFn: ({ pageParam, signal }) => {
      const query = { task, limit: 100, before: pageParam };
      return page(api.GET("/api/v1/operations", { params: { query }, signal }));
    },
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (last) => last.next,
  });

/** How many moments one part of a replay has. */
const MOMENTS = 2_000;

export const replay = (id: string) =>
  infiniteQueryOptions({
    queryKey: ["replay", id],
    queryFn: async ({ pageParam, signal, client }) => {
      // A recording only grows: a part that another follows is what it was.
      const known = client.getQueryData<InfiniteData<Replay, number>>(["replay", id]);
      const place = known?.pageParams.indexOf(pageParam) ?? -1;
      const page = known?.pages[place];
      if (page && typeof page.next === "number") return page;
      const params = { path: { id }, query: { after: pageParam, limit: MOMENTS } };
      return must(api.GET("/api/v1/sessions/{id}/moments", { params, signal }));
    },
    initialPageParam: 0,
    getNextPageParam: (last) => last.next ?? undefined,
    enabled: id !== "",
  });
