/** What changes at the gateway, as it tells: what is kept of it is asked for anew. */

import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Change } from "./client";

/** How long changes are gathered: what a person waits for comes at once, what only grows does not come with every row. */
const SOON_MILLIS = 60;
const LATER_MILLIS = 1_000;

/** Which answers a change makes old, and how much somebody waits for it. */
function stale(change: Change): { keys: QueryKey[]; delay: number } {
  const { kind, id } = change;
  switch (kind) {
    case "request":
      return { keys: [["requests"], ["request", id]], delay: SOON_MILLIS };
    case "task":
      return { keys: [["tasks"], ["task", id]], delay: SOON_MILLIS };
    case "session":
      return {
        keys: [["sessions"], ["session", id], ["replay", id], ["operations"], ["targets"]],
        delay: LATER_MILLIS,
      };
    case "policies":
      return { keys: [["policies"], ["revisions"], ["revision"]], delay: SOON_MILLIS };
    case "lockdowns":
      return { keys: [["lockdowns"]], delay: SOON_MILLIS };
    default:
      return { keys: [[]], delay: SOON_MILLIS };
  }
}

/** Follows the gateway's changes while the page is open; says whether it hears of them. */
export function useLive(client: QueryClient, isWanted: boolean): boolean {
  const [isLive, setLive] = useState(false);
  useEffect(() => {
    if (!isWanted) return;
    const source = new EventSource("/api/v1/events");
    const waiting = new Map<string, ReturnType<typeof setTimeout>>();
    let isFirst = true;
    source.onopen = () => {
      setLive(true);
      // What happened between two streams nobody told.
      if (!isFirst) void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "revision" });
      isFirst = false;
    };
    source.onerror = () => setLive(false);
    source.onmessage = (message) => {
      const { keys, delay } = stale(JSON.parse(message.data) as Change);
      for (const queryKey of keys) {
        const name = JSON.stringify(queryKey);
        if (waiting.has(name)) continue;
        const ask = () => {
          waiting.delete(name);
          void client.invalidateQueries({ queryKey });
        };
        waiting.set(name, setTimeout(ask, delay));
      }
    };
    return () => {
      source.close();
      for (const timer of waiting.values()) clearTimeout(timer);
      setLive(false);
    };
  }, [client, isWanted]);
  return isLive;
}
