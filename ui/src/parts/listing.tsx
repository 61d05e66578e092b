/** The ways from one part of a listing to the next, and back to where it begins. */

import type { MouseEvent } from "react";
import { Link, useSearchParams } from "react-router";
import { number } from "../lib/format";
import { partAt } from "../lib/listing";

/** Whoever goes to another part begins at its top, by eye and by key. */
function toTheTop(event: MouseEvent) {
  // It is another window that goes there.
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  window.scrollTo({ top: 0 });
  document.getElementById("content")?.focus({ preventScroll: true });
}

/** Stands over a part that is not the first. */
export function Newer({ before }: { before: number | undefined }) {
  const [search] = useSearchParams();
  if (before === undefined) return null;
  return (
    <p className="pad muted small" style={{ margin: 0 }}>
      What is newer is left out here.{" "}
      <Link to={{ search: partAt(search, undefined) }} onClick={toTheTop}>
        Go to the newest
      </Link>
    </p>
  );
}

interface OlderProps {
  /** Before which entry the next part begins, if there is one. */
  before: number | undefined;
  /** How many are drawn. */
  shown: number;
}

/** Stands under a part that another follows. */
export function Older({ before, shown }: OlderProps) {
  const [search] = useSearchParams();
  if (before === undefined) return null;
  return (
    <p className="empty" style={{ margin: 0 }}>
      {shown > 0 ? `${number(shown)} are shown at a time. ` : null}
      <Link rel="next" to={{ search: partAt(search, before) }} onClick={toTheTop}>
        Go to older ones
      </Link>
    </p>
  );
}
