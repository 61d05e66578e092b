/** Who is not signed in learns here how to; where they were going they come to afterwards. */

import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { useLocation } from "react-router";
import { version } from "../api/queries";
import { Waiting } from "../parts/basics";

const WAY_BACK = "gatehouse.way-back";
/** How long a way back is good: who signs in later means to go elsewhere. */
const WAY_BACK_MILLIS = 15 * 60_000;

/** Where whoever just signed in was going, once. A one-time link may open in another tab, so that all tabs share it. */
export function comeBack(): string | undefined {
  const kept = localStorage.getItem(WAY_BACK);
  localStorage.removeItem(WAY_BACK);
  if (!kept) return undefined;
  const { path, at } = read(kept);
  const { pathname, search, hash } = window.location;
  // Who came back by way of the provider is there, but for what stands behind the #.
  const isHalfThere = hash === "" && path.startsWith(`${pathname}${search}#`);
  if (pathname !== "/" && !isHalfThere) return undefined;
  return Date.now() - at < WAY_BACK_MILLIS && path !== "/" ? path : undefined;
}

/** What was kept, unless it is something else by now. */
function read(kept: string): { path: string; at: number } {
  try {
    return JSON.parse(kept) as { path: string; at: number };
  } catch {
    return { path: "/", at: 0 };
  }
}

export function SignIn() {
  const about = useQuery(version);
  const { pathname, search, hash } = useLocation();
  const path = `${pathname}${search}`;
  // What stands behind the # is told to nobody, and is here when they come back.
  const whole = `${path}${hash}`;
  useEffect(() => {
    if (whole !== "/") localStorage.setItem(WAY_BACK, JSON.stringify({ path: whole, at: Date.now() }));
  }, [whole]);
  return (
    <main className="sign">
      <div className="panel pad stack">
        <div className="row">
          <img src="/favicon.svg" alt="" width={28} height={28} />
          <h1 style={{ margin: 0, fontSize: 20 }}>Gatehouse</h1>
        </div>
        <Waiting query={about} />
        {about.data?.has_provider ? (
          <>
            <p className="muted" style={{ margin: 0 }}>
              Sign in to see what agents do, and to answer what waits for you.
            </p>
            <Button component="a" href={`/login?return_to=${encodeURIComponent(path)}`}>
              Sign in
            </Button>
            <p className="muted small" style={{ margin: 0 }}>
              In a terminal: <code className="mono wrap">gatehouse login --api {window.location.origin}</code>
            </p>
          </>
        ) : null}
        {about.data && !about.data.has_provider ? (
          <>
            <p style={{ margin: 0 }}>
              Nobody is signed in. Somebody at the gateway&rsquo;s machine makes a link that signs you in, once:
            </p>
            <code className="mono wrap">gatehouse login --as user:NAME --link</code>
          </>
        ) : null}
      </div>
    </main>
  );
}
