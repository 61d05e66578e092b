/**
 * What changes at the gateway, as it tells: what is kept of it is asked for anew. All pages of one browser share one stream
 * where the browser lets them, for over HTTP/1.1 it opens few connections to one gateway.
 */

import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Change } from "./client";

/** How long changes are gathered: what a person waits for comes at once, what only grows does not come with every row. */
const SOON_MILLIS = 60;
const LATER_MILLIS = 1_000;
/** How long after a failure the stream is asked for again, at first and at most. */
const AGAIN_MILLIS = 1_000;
const AGAIN_MILLIS_MAX = 30_000;
/** How long nothing may be heard before a page says so: a stream ends now and then, and begins anew. */
const SILENCE_MILLIS = 2_500;
/** How often what waits for an answer is asked for while nothing is heard. */
const POLL_MILLIS = 5_000;

/** What pages of one browser tell each other, and the lock of the one that listens for all. */
const NAME = "gatehouse-changes";

type Heard = { change: Change } | { isLive: boolean };

/** All that changes are told of: where some were not heard, each of these may be old. */
const LIVE: QueryKey[] = [
  ["requests"],
  ["request"],
  ["tasks"],
  ["task"],
  ["sessions"],
  ["session"],
  ["replay"],
  ["done"],
  ["targets"],
  ["policies"],
  ["revisions"],
  ["lockdowns"],
];

/** Which answers a change makes old, and how much somebody waits for it. */
function stale(change: Change): { keys: QueryKey[]; delay: number } {
  const { kind, id } = change;
  switch (kind) {
    case "request":
      return { keys: [["requests"], ["request", id]], delay: SOON_MILLIS };
    case "task":
      return { keys: [["tasks"], ["task", id]], delay: SOON_MILLIS };
    case "session":
      // What somebody searched for stays as it was found: a search reads much of the journal.
      return { keys: [["sessions"], ["session", id], ["replay", id], ["done"], ["targets"]], delay: LATER_MILLIS };
    case "policies":
      return { keys: [["policies"], ["revisions"]], delay: SOON_MILLIS };
    case "lockdowns":
      return { keys: [["lockdowns"]], delay: SOON_MILLIS };
    default:
      return { keys: LIVE, delay: LATER_MILLIS };
  }
}

/** Listens to the gateway until it is told to stop, and begins anew whenever the stream ends. */
function listen(tell: (heard: Heard) => void): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = AGAIN_MILLIS;
  const begin = () => {
    source = new EventSource("/api/v1/events");
    source.onopen = () => {
      wait = AGAIN_MILLIS;
      tell({ isLive: true });
    };
    source.onmessage = (message) => tell({ change: JSON.parse(message.data) as Change });
    source.onerror = () => {
      tell({ isLive: false });
      // A browser asks again after an end, but not after a refusal.
      if (source?.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(begin, wait);
      wait = Math.min(AGAIN_MILLIS_MAX, wait * 2);
    };
  };
  begin();
  return () => {
    source?.close();
    clearTimeout(timer);
  };
}

/** Has one page of this browser listen, and all of them hear. */
function share(hear: (heard: Heard) => void): () => void {
  if (!("locks" in navigator) || !("BroadcastChannel" in window)) return listen(hear);
  const channel = new BroadcastChannel(NAME);
  channel.onmessage = (message: MessageEvent<Heard>) => hear(message.data);
  const leaving = new AbortController();
  const lead = () =>
    new Promise<void>((resolve) => {
      const stop = listen((heard) => {
        hear(heard);
        channel.postMessage(heard);
      });
      leaving.signal.addEventListener("abort", () => {
        stop();
        resolve();
      });
    });
  // Whoever leaves before its turn has nothing to end.
  navigator.locks.request(NAME, { signal: leaving.signal }, lead).catch(() => undefined);
  // Another page listens already.
  navigator.locks.query().then(({ held }) => {
    if (held?.some((lock) => lock.name === NAME)) hear({ isLive: true });
  });
  return () => {
    leaving.abort();
    channel.close();
  };
}

/** Follows the gateway's changes while the page is open; says whether it hears of them. */
export function useLive(client: QueryClient): boolean {
  const [isLive, setLive] = useState(false);
  useEffect(() => {
    const waiting = new Map<string, ReturnType<typeof setTimeout>>();
    let silence: ReturnType<typeof setTimeout> | undefined;
    const renew = (queryKey: QueryKey, delay: number) => {
      const name = JSON.stringify(queryKey);
      if (waiting.has(name)) return;
      const ask = () => {
        waiting.delete(name);
        void client.invalidateQueries({ queryKey });
      };
      waiting.set(name, setTimeout(ask, delay));
    };
    const stop = share((heard) => {
      if ("change" in heard) {
        const { keys, delay } = stale(heard.change);
        for (const key of keys) renew(key, delay);
      } else if (heard.isLive) {
        clearTimeout(silence);
        silence = undefined;
        setLive(true);
        // What happened while nobody listened was told to nobody.
        for (const key of LIVE) renew(key, SOON_MILLIS);
      } else {
        silence ??= setTimeout(() => setLive(false), SILENCE_MILLIS);
      }
    });
    return () => {
      stop();
      clearTimeout(silence);
      for (const timer of waiting.values()) clearTimeout(timer);
    };
  }, [client]);
  useEffect(() => {
    if (isLive) return;
    const poll = setInterval(() => void client.invalidateQueries({ queryKey: ["requests"] }), POLL_MILLIS);
    return () => clearInterval(poll);
  }, [client, isLive]);
  return isLive;
}
