/** What pages ask, and under which name the answer is kept. */

import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, must, page } from "./client";

export const me = queryOptions({
  queryKey: ["me"],
  queryFn: () => must(api.GET("/api/v1/me")),
  retry: false,
});

export const version = queryOptions({
  queryKey: ["version"],
  queryFn: () => must(api.GET("/api/v1/version")),
  refetchInterval: 15_000,
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

export const openRequests = queryOptions({
  queryKey: ["requests", "open"],
  queryFn: () => must(api.GET("/api/v1/requests", { params: { query: { state: "open", limit: 200 } } })),
});

export const decidedRequests = queryOptions({
  queryKey: ["requests", "decided"],
  queryFn: async () => {
    const all = await must(api.GET("/api/v1/requests", { params: { query: { limit: 200 } } }));
    return all.filter((request) => request.state !== "open");
  },
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

export const tasks = (filter: TaskFilter) =>
  infiniteQueryOptions({
    queryKey: ["tasks", filter],
    queryFn: ({ pageParam }) =>
      page(api.GET("/api/v1/tasks", { params: { query: { ...filter, limit: 100, before: pageParam } } })),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (last) => last.next,
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

export interface SessionFilter {
  state?: string;
  identity?: string;
  target?: string;
  class?: string;
  task?: string;
  since?: string;
  until?: string;
}

export const sessions = (filter: SessionFilter) =>
  infiniteQueryOptions({
    queryKey: ["sessions", filter],
    queryFn: ({ pageParam }) =>
      page(api.GET("/api/v1/sessions", { params: { query: { ...filter, limit: 100, before: pageParam } } })),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (last) => last.next,
  });

export const session = (id: string) =>
  queryOptions({
    queryKey: ["session", id],
    queryFn: () => must(api.GET("/api/v1/sessions/{id}", { params: { path: { id } } })),
    enabled: id !== "",
  });

export interface OperationFilter {
  session?: string;
  task?: string;
  identity?: string;
  target?: string;
  outcome?: string;
  class?: string;
  text?: string;
  since?: string;
  until?: string;
}

export const operations = (filter: OperationFilter, limit = 100) =>
  infiniteQueryOptions({
    queryKey: ["operations", filter, limit],
    queryFn: ({ pageParam }) =>
      page(api.GET("/api/v1/operations", { params: { query: { ...filter, limit, before: pageParam } } })),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (last) => last.next,
  });

export const replay = (id: string) =>
  infiniteQueryOptions({
    queryKey: ["replay", id],
    queryFn: ({ pageParam }) =>
      must(
        api.GET("/api/v1/sessions/{id}/moments", {
          params: { path: { id }, query: { after: pageParam, limit: 2_000 } },
        }),
      ),
    initialPageParam: 0,
    getNextPageParam: (last) => last.next ?? undefined,
    enabled: id !== "",
  });
