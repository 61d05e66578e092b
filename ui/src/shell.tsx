/** The frame around every page: who is signed in, where one can go, and whether the gateway is heard. */

import {
  ActionIcon,
  Button,
  Kbd,
  Menu,
  Modal,
  Tooltip,
  useComputedColorScheme,
  useMantineColorScheme,
} from "@mantine/core";
import { Spotlight, spotlight } from "@mantine/spotlight";
import {
  IconChecklist,
  IconDatabase,
  IconFileCheck,
  IconGavel,
  IconLayoutDashboard,
  IconMenu2,
  IconMoon,
  IconSearch,
  IconSun,
  IconTerminal2,
  IconUsersGroup,
} from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Fragment, lazy, type ReactNode, Suspense, useEffect, useRef, useState } from "react";
import { Link, NavLink, Route, Routes, useLocation, useNavigate } from "react-router";
import { Problem, type Target } from "./api/client";
import { useLive } from "./api/live";
import { lockdowns, me, openRequests, targets, version } from "./api/queries";
import { identityOf } from "./lib/filters";
import { plural } from "./lib/format";
import { revealed } from "./lib/hidden";
import { isTyping, switchLetters, useLetters } from "./lib/keys";
import { EvidencePage } from "./pages/evidence";
import { FirstRun } from "./pages/first-run";
import { PoliciesPage } from "./pages/policies";
import { ReplayPage } from "./pages/replay";
import { RequestsPage } from "./pages/requests";
import { SessionsPage } from "./pages/sessions";
import { comeBack, SignIn } from "./pages/sign-in";
import { TargetsPage } from "./pages/targets";
import { TaskPage, TasksPage } from "./pages/tasks";
import { Empty, Trouble, Waiting } from "./parts/basics";
import { Boundary } from "./parts/boundary";

/** Its charts are the heaviest part of the front end, so that whoever only answers a request does not load them. */
const OverviewPage = lazy(() => import("./pages/overview").then((page) => ({ default: page.OverviewPage })));

const PLACES = [
  { to: "/", name: "Overview", icon: IconLayoutDashboard, key: "o" },
  { to: "/requests", name: "Requests", icon: IconGavel, key: "r" },
  { to: "/tasks", name: "Tasks", icon: IconChecklist, key: "t" },
  { to: "/sessions", name: "Sessions", icon: IconTerminal2, key: "s" },
  { to: "/policies", name: "Policies", icon: IconUsersGroup, key: "p" },
  { to: "/evidence", name: "Evidence", icon: IconFileCheck, key: "e" },
  { to: "/targets", name: "Targets", icon: IconDatabase, key: "d" },
] as const;

export function Shell() {
  const who = useQuery(me);
  const navigate = useNavigate();
  const signedIn = who.isSuccess;
  useNothingOfOthers(who.data?.user ?? (who.error ? "" : undefined));
  useOthers(who.isPending ? undefined : signedIn);
  useEffect(() => {
    const path = signedIn ? comeBack() : undefined;
    if (path) void navigate(path, { replace: true });
  }, [signedIn, navigate]);
  if (who.error && Problem.of(who.error).status === 401) return <SignIn />;
  // Who was known is known still when an answer fails to come: nothing that somebody writes is lost by that.
  if (who.data) return <Frame />;
  if (who.error) {
    return (
      <main>
        <Trouble error={who.error} again={() => void who.refetch()} />
      </main>
    );
  }
  return <Waiting query={who} />;
}

/** What one person was shown is not there for the next. */
function useNothingOfOthers(user: string | undefined) {
  const client = useQueryClient();
  const before = useRef<string>(undefined);
  useEffect(() => {
    if (user === undefined) return;
    const isOther = before.current !== undefined && before.current !== user;
    before.current = user;
    if (isOther)
      client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "me" && queryKey[0] !== "version" });
  }, [client, user]);
}

/** Has all pages of a browser know when somebody signed in or out in one of them. */
function useOthers(isSignedIn: boolean | undefined) {
  const client = useQueryClient();
  useEffect(() => {
    if (isSignedIn === undefined || !("BroadcastChannel" in window)) return;
    const channel = new BroadcastChannel("gatehouse-people");
    channel.onmessage = (message: MessageEvent<boolean>) => {
      if (message.data !== isSignedIn) void client.invalidateQueries({ queryKey: ["me"] });
    };
    channel.postMessage(isSignedIn);
    return () => channel.close();
  }, [client, isSignedIn]);
}

/** For so long after a `g` a letter is a place, in milliseconds. */
const GOING_MILLIS = 1_500;

/** Goes somewhere by two keys, as the first letters of places are known: `g`, then a letter. */
function useKeys() {
  const navigate = useNavigate();
  useEffect(() => {
    let wentAt = 0;
    const heard = (event: KeyboardEvent) => {
      if (isTyping(event)) return;
      const place = PLACES.find((place) => place.key === event.key);
      if (Date.now() - wentAt < GOING_MILLIS && place) {
        // What a letter means elsewhere it does not mean after a `g`.
        event.stopImmediatePropagation();
        void navigate(place.to);
      }
      wentAt = event.key === "g" ? Date.now() : 0;
    };
    window.addEventListener("keydown", heard, { capture: true });
    return () => window.removeEventListener("keydown", heard, { capture: true });
  }, [navigate]);
}

/** Where something stands that is called by its id. */
function placeOf(id: string): string | undefined {
  if (!/^(tsk|ses|req)-[a-z0-9]+$/.test(id)) return undefined;
  return `/${{ tsk: "tasks", ses: "sessions", req: "requests" }[id.slice(0, 3)]}/${id}`;
}

interface Goal {
  id: string;
  to: string;
  label: string;
  description: string;
}

const KEYS: [string, string][] = [
  ...PLACES.map(({ key, name }): [string, string] => [`g ${key}`, `go to ${name}`]),
  ["Ctrl K", "go to anything, or look for words"],
  ["j  k", "the next request, the one before"],
  ["a  d", "begin to approve, to deny; then Ctrl Enter"],
  ["/", "search statements"],
  ["?", "this list"],
];

/** What keys do, when somebody asks by one. */
function Keys() {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (event.key === "?" && !isTyping(event)) setOpen(true);
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, []);
  return (
    <Modal opened={isOpen} onClose={() => setOpen(false)} title="Keys">
      <dl className="facts">
        {KEYS.map(([key, what]) => (
          <Fragment key={key}>
            <dt>
              <Kbd size="xs">{key}</Kbd>
            </dt>
            <dd>{what}</dd>
          </Fragment>
        ))}
      </dl>
    </Modal>
  );
}

/** What whoever types may mean besides a place: something by its id comes first, and what is to be looked for last. */
function meant(asked: string, all: Target[]): { first: Goal[]; last: Goal[] } {
  if (!asked) return { first: [], last: [] };
  const named = placeOf(asked);
  if (named) return { first: [{ id: "named", to: named, label: asked, description: "open it" }], last: [] };
  const last = all
    .filter(({ name }) => name.includes(asked))
    .map(({ name }) => ({
      id: `target ${name}`,
      to: `/sessions?target=${name}`,
      label: name,
      description: "sessions of this target",
    }));
  const query = encodeURIComponent(asked);
  const identities = identityOf(asked) ? [asked] : /^[\w.@-]+$/.test(asked) ? [`agent:${asked}`, `user:${asked}`] : [];
  for (const identity of identities) {
    const to = `/sessions?identity=${encodeURIComponent(identity)}`;
    last.push({ id: identity, to, label: identity, description: "sessions of this identity" });
  }
  if (!identityOf(asked)) {
    last.push({ id: "text", to: `/sessions?text=${query}`, label: asked, description: "look for it in statements" });
  }
  return { first: [], last };
}

/** What one page is, whatever part of it is shown. */
const pageOf = (pathname: string) => /^\/(requests|policies|evidence)(\/|$)/.exec(pathname)?.[1] ?? pathname;

/** After so long a dialog that led somewhere has given the focus back to where it was, in milliseconds. */
const FOCUS_MILLIS = 50;

/** Whoever goes to another page, by key or by link, reads on there; whoever just came begins at the top. */
function useFocus(page: string) {
  const before = useRef(page);
  useEffect(() => {
    if (before.current === page) return;
    before.current = page;
    const focus = () => document.getElementById("content")?.focus({ preventScroll: true });
    const timer = setTimeout(focus, FOCUS_MILLIS);
    return () => clearTimeout(timer);
  }, [page]);
}

function Frame() {
  const live = useLive(useQueryClient());
  const [isOpen, setOpen] = useState(false);
  const { pathname } = useLocation();
  const navigate = useNavigate();
  useKeys();
  useFocus(pageOf(pathname));
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever went somewhere has used the menu
  useEffect(() => setOpen(false), [pathname]);
  const [asked, setAsked] = useState("");
  const all = useQuery(targets);
  const places = PLACES.map(({ to, name, icon: Icon, key }) => ({
    id: to,
    to,
    label: name,
    description: `g ${key}`,
    leftSection: <Icon size={18} />,
  }));
  const { first, last } = meant(asked.trim(), all.data ?? []);
  const actions = [...first, ...places, ...last].map(({ to, ...action }) => ({
    ...action,
    onClick: () => void navigate(to),
  }));
  return (
    <>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <div className="frame">
        <header className="bar">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Menu"
            aria-expanded={isOpen}
            onClick={() => setOpen(!isOpen)}
          >
            <IconMenu2 size={20} />
          </ActionIcon>
          <Link className="brand" to="/">
            <img src="/favicon.svg" alt="" /> Gatehouse
          </Link>
          <span className="end">
            <Live isLive={live} />
          </span>
        </header>
        <Side isOpen={isOpen} isLive={live} />
        <main id="content" tabIndex={-1}>
          <Banners />
          <Boundary key={pageOf(pathname)} at={pathname}>
            <Suspense fallback={<Waiting query={{ isPending: true, error: null, refetch: () => undefined }} />}>
              <Pages />
            </Suspense>
          </Boundary>
        </main>
      </div>
      <Keys />
      <Spotlight
        actions={actions}
        query={asked}
        onQueryChange={setAsked}
        shortcut={["mod + K"]}
        lockScroll={false}
        nothingFound="There is no such place"
        searchProps={{
          placeholder: "A place, an id, a target, who, or words of a statement",
          "aria-label": "Go to",
          leftSection: <IconSearch size={18} />,
        }}
      />
    </>
  );
}

function Pages() {
  const all = useQuery(targets);
  const isFresh = all.isSuccess && all.data.length === 0;
  const orFirst = (page: ReactNode) => (isFresh ? <FirstRun /> : page);
  return (
    <Routes>
      <Route path="/" element={orFirst(<OverviewPage />)} />
      <Route path="/requests" element={<RequestsPage />} />
      <Route path="/requests/:id" element={<RequestsPage />} />
      <Route path="/tasks" element={<TasksPage />} />
      <Route path="/tasks/:id" element={<TaskPage />} />
      <Route path="/sessions" element={<SessionsPage />} />
      <Route path="/sessions/:id" element={<ReplayPage />} />
      <Route path="/policies" element={<PoliciesPage />} />
      <Route path="/policies/:view" element={<PoliciesPage />} />
      <Route path="/evidence" element={<EvidencePage />} />
      <Route path="/evidence/:view" element={<EvidencePage />} />
      <Route path="/targets" element={orFirst(<TargetsPage />)} />
      <Route path="*" element={<Nowhere />} />
    </Routes>
  );
}

const Nowhere = () => (
  <div className="panel">
    <Empty title="There is nothing at this address">
      <p>
        <Link to="/">Go to the overview</Link>
      </p>
    </Empty>
  </div>
);

const Live = ({ isLive }: { isLive: boolean }) => (
  <span className="live small" data-on={isLive}>
    <i aria-hidden="true" />
    {isLive ? "Live" : "Connecting …"}
  </span>
);

function Side({ isOpen, isLive }: { isOpen: boolean; isLive: boolean }) {
  const who = useQuery(me);
  const about = useQuery(version);
  const open = useQuery(openRequests);
  const waiting = open.data?.entries.length ?? 0;
  const count = `${waiting}${open.data?.isMore ? "+" : ""}`;
  return (
    <aside className="side" data-open={isOpen} aria-label="Menu and account">
      <Link className="brand" to="/">
        <img src="/favicon.svg" alt="" /> Gatehouse
      </Link>
      <nav aria-label="Places">
        {PLACES.map(({ to, name, icon: Icon }) => (
          <NavLink key={to} to={to} end={to === "/"}>
            <Icon size={17} stroke={1.8} aria-hidden="true" />
            {name}
            {to === "/requests" && waiting > 0 ? (
              <span className="count">
                {count}
                <span className="quiet"> waiting</span>
              </span>
            ) : null}
          </NavLink>
        ))}
      </nav>
      <p className="quiet" role="status" aria-live="polite">
        {waiting > 0 ? `${plural(waiting, "request")} ${waiting === 1 ? "waits" : "wait"} for an answer` : ""}
      </p>
      <div className="foot">
        <div className="row">
          <Live isLive={isLive} />
          <span className="end row">
            <Tooltip label="Go to … (Ctrl K)">
              <ActionIcon variant="subtle" color="gray" aria-label="Go to a place" onClick={spotlight.open}>
                <IconSearch size={16} />
              </ActionIcon>
            </Tooltip>
            <Scheme />
          </span>
        </div>
        <div>
          <div className="who">{who.data?.user ?? "administrator"}</div>
          <div>{who.data?.groups.join(", ") || "no group"}</div>
        </div>
        <div className="row">
          <form method="post" action="/logout">
            <Button type="submit" size="compact-xs" variant="default">
              Sign out
            </Button>
          </form>
          <span className="wrap">{about.data ? `${about.data.name ?? ""} v${about.data.version}` : null}</span>
        </div>
      </div>
    </aside>
  );
}

function Scheme() {
  // To hold transitions back it would put a style into the page, which the page's policy does not take.
  const { setColorScheme } = useMantineColorScheme({ keepTransitions: true });
  const scheme = useComputedColorScheme();
  const hasLetters = useLetters();
  return (
    <Menu position="top-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label="Colours and keys">
          {scheme === "dark" ? <IconMoon size={16} /> : <IconSun size={16} />}
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => setColorScheme("light")}>Light</Menu.Item>
        <Menu.Item onClick={() => setColorScheme("dark")}>Dark</Menu.Item>
        <Menu.Item onClick={() => setColorScheme("auto")}>As the system</Menu.Item>
        <Menu.Divider />
        <Menu.Item onClick={() => switchLetters(!hasLetters)}>
          {hasLetters ? "Switch letter keys off" : "Switch letter keys on"}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** What everybody must know before they do anything else. */
function Banners() {
  const about = useQuery(version);
  const shut = useQuery(lockdowns);
  return (
    <>
      {about.data?.reload_fault ? (
        <div className="banner" data-tone="bad" role="alert">
          <strong>Changed files are not in force: the gateway goes on with what it had.</strong>
          <pre className="mono">{about.data.reload_fault}</pre>
        </div>
      ) : null}
      {shut.data?.map((lockdown) => (
        <div key={lockdown.scope} className="banner" role="alert">
          <span>
            <strong>{lockdown.scope === "all" ? "Everything is shut" : `${lockdown.scope} is shut`}</strong> by{" "}
            {lockdown.by}: {revealed(lockdown.reason)}. To open it again:{" "}
            <code className="mono">gatehouse lockdown lift {lockdown.scope}</code>
          </span>
        </div>
      ))}
    </>
  );
}
