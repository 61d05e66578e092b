/** A session, as it went: what was asked, what became of it, and what the client saw. */

import { Button, Switch } from "@mantine/core";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { Link, useParams, useSearchParams } from "react-router";
import { api, must, type Operation, type Session } from "../api/client";
import { me, openRequests, recordsOf, replay, session as sessionQuery } from "../api/queries";
import { bindHead, clock, micros, moment, number, oneLine, plural } from "../lib/format";
import { revealed } from "../lib/hidden";
import { type Part, type Scene, scenes } from "../lib/scenes";
import { Ago, Chip, Copy, Empty, Heading, More, RequestLink, State, TaskLink, toneOf, Waiting } from "../parts/basics";
import { CameFrom, Chain } from "../parts/chain";
import { Classes } from "../parts/classes";
import { Statement, Written } from "../parts/statement";
import { Sure } from "../parts/sure";

export function ReplayPage() {
  const { id = "" } = useParams();
  const query = useQuery(sessionQuery(id));
  const session = query.data;
  if (!session) return <Waiting query={query} />;
  return (
    <>
      <Heading
        title={
          <span className="mono" style={{ fontSize: 17 }}>
            {id}
          </span>
        }
        note={<State word={session.state} />}
      >
        <Button component={Link} size="compact-sm" variant="default" to={`/evidence?session=${id}`}>
          Export evidence
        </Button>
        <Archive session={session} />
        {session.state === "live" ? <Kill session={session} /> : null}
      </Heading>
      <About session={session} />
      <Scenes session={session} />
    </>
  );
}

function About({ session }: { session: Session }) {
  return (
    <section className="panel pad" aria-label="About this session" style={{ marginBottom: 8 }}>
      <div className="two">
        <dl className="facts">
          <dt>Who</dt>
          <dd>
            <Chain identity={session.identity} behalf={session.on_behalf_of} task={session.task} />
          </dd>
          <dt>Task</dt>
          <dd>
            <TaskLink id={session.task} />
          </dd>
          <CameFrom task={session.task} />
          <dt>Target</dt>
          <dd>{session.target}</dd>
          <dt>From</dt>
          <dd className="mono">{session.peer}</dd>
        </dl>
        <dl className="facts">
          <dt>Opened</dt>
          <dd>
            {moment(session.opened)} (<Ago time={session.opened} />)
          </dd>
          {session.closed ? (
            <>
              <dt>Ended</dt>
              <dd>
                {moment(session.closed)}
                {session.cause ? <span className="muted"> — {revealed(session.cause)}</span> : null}
              </dd>
            </>
          ) : null}
          <dt>Operations</dt>
          <dd>
            {number(session.operations)}
            {session.refused > 0 ? `, ${number(session.refused)} refused` : ""}
          </dd>
          <dt>Classes</dt>
          <dd>
            {session.state === "live" ? (
              <span className="muted">counted when it ends</span>
            ) : (
              <Classes counts={session.classes} none={session.masked === 0 ? "nothing" : null} />
            )}
          </dd>
        </dl>
      </div>
    </section>
  );
}

function Archive({ session }: { session: Session }) {
  const protocol = useInfiniteQuery(replay(session.id)).data?.pages[0]?.protocol;
  if (protocol === undefined || protocol === "postgres") return null;
  return (
    <Button
      component="a"
      size="compact-sm"
      variant="default"
      href={`/api/v1/sessions/${session.id}/har`}
      download={`${session.id}.har`}
    >
      HTTP archive
    </Button>
  );
}

function Kill({ session }: { session: Session }) {
  const who = useQuery(me);
  const client = useQueryClient();
  const [isAsked, setAsked] = useState(false);
  if (!who.data?.administers) return null;
  const kill = async (reason: string | undefined) => {
    await must(api.POST("/api/v1/sessions/{id}/kill", { params: { path: { id: session.id } }, body: { reason } }));
    void client.invalidateQueries({ queryKey: ["session", session.id] });
    void client.invalidateQueries({ queryKey: ["replay", session.id] });
  };
  return (
    <>
      <Button size="compact-sm" color="red" variant="light" onClick={() => setAsked(true)}>
        Kill
      </Button>
      {isAsked ? (
        <Sure title="Kill this session?" yes="Kill it" no="Leave it" isGrave act={kill} close={() => setAsked(false)}>
          Its connection ends at once, and what it runs is cancelled. The task lives on: {session.identity} can connect
          again.
        </Sure>
      ) : null}
    </>
  );
}

/** Which scene a link is to: by its place, its operation's number, or the request that was approved for it. */
function wantedIn(search: URLSearchParams): ((scene: Scene) => boolean) | undefined {
  const [at, operation, request] = ["at", "operation", "request"].map((name) => search.get(name));
  if (at) return (scene) => scene.place === Number(at);
  if (operation) return (scene) => scene.asked?.number === Number(operation);
  if (request) return (scene) => scene.asked?.request === request;
  return undefined;
}

/** Without what was only prepared: what runs it shows it again. */
function shownOf(all: Scene[]): Scene[] {
  const isFolded = (scene: Scene, place: number) =>
    scene.asked?.outcome === "prepare" &&
    scene.parts.length === 0 &&
    all.slice(place + 1).some((later) => later.asked?.statement === scene.asked?.statement);
  return all.filter((scene, place) => !isFolded(scene, place));
}

/** Of sessions of so many operations the bind values are shown, which stand in the records. */
const BOUND_OPERATIONS_MAX = 1_000;

/** The records of a session's operations, which have their bind values, by their numbers. */
function useRecords(session: Session): Map<number, Operation> {
  const found = useQuery({ ...recordsOf(session.id), enabled: session.operations <= BOUND_OPERATIONS_MAX });
  return useMemo(() => new Map(found.data?.map((operation) => [operation.number, operation])), [found.data]);
}

/** What of a live session waits for a person: it is on no recording before it goes on. */
function Held({ session }: { session: string }) {
  const open = useQuery(openRequests);
  const held = open.data?.entries.filter((request) => request.kind === "operation" && request.session === session);
  return held?.map((request) => (
    <div key={request.id} className="event">
      <div className="at muted">
        <Ago time={request.opened} />
      </div>
      <div style={{ minWidth: 0 }}>
        <div className="row" style={{ marginBottom: 5 }}>
          <State word="open" />
          <RequestLink id={request.id} />
        </div>
        <Statement text={request.statement} isSql isFlat />
      </div>
    </div>
  ));
}

/** The scenes of a session, of which those that somebody came to see are loaded and brought into view. */
function useScenes(session: Session) {
  const query = useInfiniteQuery(replay(session.id));
  const [search] = useSearchParams();
  const wanted = wantedIn(search);
  const all = useMemo(() => shownOf(scenes(query.data?.pages.flatMap((page) => page.moments) ?? [])), [query.data]);
  const now = wanted && all.find(wanted);
  const isMissing = wanted !== undefined && !now;
  const { fetchNextPage, hasNextPage, isFetchingNextPage, isFetchNextPageError } = query;
  const isSought = isMissing && hasNextPage && !isFetchingNextPage && !isFetchNextPageError;
  useEffect(() => {
    if (isSought) void fetchNextPage();
  }, [isSought, fetchNextPage]);
  const place = now?.place;
  useEffect(() => {
    if (place !== undefined) document.getElementById(`moment-${place}`)?.scrollIntoView({ block: "start" });
  }, [place]);
  return { query, all, now, isWanted: wanted !== undefined, isLost: isMissing && query.isSuccess && !hasNextPage };
}

/** Keeps the end of what goes on in view; and the element that stands there. */
function useFollowing(isFollowed: boolean, count: number) {
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (isFollowed && count > 0) end.current?.scrollIntoView({ block: "nearest" });
  }, [isFollowed, count]);
  return end;
}

function Scenes({ session }: { session: Session }) {
  const { query, all, now, isWanted, isLost } = useScenes(session);
  const [, setSearch] = useSearchParams();
  const isLive = session.state === "live";
  const [isFollowed, setFollowed] = useState(isLive && !isWanted);
  const end = useFollowing(isFollowed, all.length);
  const records = useRecords(session);
  if (!query.data) return <Waiting query={query} />;
  const isSql = query.data.pages[0]?.protocol === "postgres";
  const isTorn = !query.hasNextPage && query.data.pages.at(-1)?.is_torn;
  const asked = all.filter((scene) => scene.asked);
  const length = all.at(-1)?.ends ?? 0;
  return (
    <>
      <div className="strip">
        <div className="row" style={{ marginBottom: 6 }}>
          <h2 style={{ margin: 0 }}>Replay</h2>
          <span className="muted small">
            {plural(asked.length, "operation")} over {micros(length)}, silences cut short; rows as the client saw them
          </span>
          {isLive ? (
            <Switch
              style={{ marginLeft: "auto" }}
              size="xs"
              label="Follow"
              checked={isFollowed}
              onChange={(event) => setFollowed(event.currentTarget.checked)}
            />
          ) : null}
        </div>
        {asked.length > 1 ? (
          <Ticks
            scenes={asked}
            length={length}
            now={now}
            go={(place) => setSearch({ at: String(place) }, { replace: true })}
          />
        ) : null}
      </div>
      <div className="panel">
        {isLost ? <p className="pad muted">What the link leads to is not on this recording.</p> : null}
        {all.length === 0 ? (
          <Empty title={isLive ? "Nothing was asked yet" : "Nothing was asked"}>
            <p>{isLive ? "What is asked appears here as it happens." : "The client connected, and left again."}</p>
          </Empty>
        ) : null}
        <ol className="list">
          {all.map((scene) => (
            <Shown
              key={scene.place}
              scene={scene}
              isNow={scene.place === now?.place}
              isSql={isSql}
              record={records.get(scene.asked?.number ?? -1)}
            />
          ))}
        </ol>
        {isLive ? <Held session={session.id} /> : null}
        <More query={query} />
        {isTorn ? (
          <p className="pad muted">{isLive ? "It goes on." : "The recording ends here, in the middle of something."}</p>
        ) : null}
      </div>
      <div ref={end} />
    </>
  );
}

/** Time in which nothing came or went takes no more of the strip than this share of it. */
const IDLE_SHARE = 0.04;

/** Where on a strip a time is, from 0 to 1: long silences are cut short, so that what happened is seen. */
function placesOf(scenes: Scene[], length: number): (at: number) => number {
  const times = [...new Set([0, ...scenes.flatMap(({ at, ends }) => [at, ends]), length])].sort(
    (one, two) => one - two,
  );
  const busy = scenes.reduce((sum, { at, ends }) => sum + ends - at, 0);
  const most = Math.max(1, busy, length / 100) * IDLE_SHARE;
  const isBusy = (from: number, to: number) => scenes.some(({ at, ends }) => at <= from && ends >= to);
  const marks: [number, number][] = [[0, 0]];
  let sum = 0;
  for (const [place, time] of times.entries()) {
    const before = times[place - 1];
    if (before === undefined) continue;
    sum += isBusy(before, time) ? time - before : Math.min(time - before, most);
    marks.push([time, sum]);
  }
  return (at) => {
    const after = marks.findIndex(([time]) => time >= at);
    const [time, place] = marks[after] ?? [length, sum];
    const [from, start] = marks[after - 1] ?? [0, 0];
    const part = time > from ? (at - from) / (time - from) : 0;
    return (start + part * (place - start)) / Math.max(1, sum);
  };
}

/** When what was asked: each operation a mark, to be jumped to. */
function Ticks(props: { scenes: Scene[]; length: number; now?: Scene; go: (place: number) => void }) {
  const { scenes, length, now, go } = props;
  const placed = useMemo(() => placesOf(scenes, length), [scenes, length]);
  const share = (at: number) => placed(at) * 1000;
  const jump = (event: React.MouseEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const wanted = (event.clientX - box.left) / box.width;
    const nearest = scenes.reduce((best, scene) =>
      Math.abs(placed(scene.at) - wanted) < Math.abs(placed(best.at) - wanted) ? scene : best,
    );
    go(nearest.place);
  };
  const place = now ? scenes.indexOf(now) : -1;
  const step = (by: number) => {
    const next = scenes[Math.max(0, Math.min(scenes.length - 1, place + by))];
    if (next) go(next.place);
  };
  return (
    <div
      className="ticks"
      role="slider"
      tabIndex={0}
      aria-label="Place in the session"
      aria-valuemin={1}
      aria-valuemax={scenes.length}
      aria-valuenow={Math.max(1, place + 1)}
      aria-valuetext={now ? `operation ${place + 1} of ${scenes.length}, at ${clock(now.at)}` : "the beginning"}
      onKeyDown={(event) => {
        const by = {
          ArrowRight: 1,
          ArrowLeft: -1,
          PageDown: 10,
          PageUp: -10,
          Home: -scenes.length,
          End: scenes.length,
        }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        step(by);
      }}
    >
      <svg viewBox="0 0 1000 30" preserveAspectRatio="none" aria-hidden="true" onClick={jump}>
        {now ? <rect className="tick-now" x={Math.max(0, share(now.at) - 6)} y="0" width="12" height="30" /> : null}
        {scenes.map((scene) => (
          <rect
            key={scene.place}
            className={`tick-${toneOf(scene.asked?.outcome ?? "")}`}
            x={Math.min(997, share(scene.at))}
            y="6"
            width={Math.max(2.5, share(scene.ends) - share(scene.at))}
            height="18"
            opacity="0.75"
          />
        ))}
      </svg>
    </div>
  );
}

interface ShownProps {
  scene: Scene;
  isNow: boolean;
  isSql: boolean;
  /** What is on record of what it asked for. */
  record?: Operation;
}

/** What stands over a scene that no operation here asked for. */
function unasked({ parts: [first] }: Scene): string {
  if (first?.kind === "note") return "Said without being asked";
  if (first?.kind === "text") return "From the target";
  return first?.kind === "problem" ? "An error of nothing that was asked here" : "More of what was asked before";
}

function Shown({ scene, isNow, isSql, record }: ShownProps) {
  const { asked } = scene;
  const link = `${window.location.origin}${window.location.pathname}?at=${scene.place}`;
  return (
    <li className="event" id={`moment-${scene.place}`} data-now={isNow}>
      <div className="at muted">
        <Link to={`?at=${scene.place}`} replace aria-label={`Link to this moment, ${clock(scene.at)}`}>
          {clock(scene.at)}
        </Link>
        {scene.ends > scene.at ? <div>{micros(scene.ends - scene.at)}</div> : null}
      </div>
      <div style={{ minWidth: 0 }}>
        {asked ? (
          <>
            <div className="row" style={{ marginBottom: 5 }}>
              {scene.isPassedOver || scene.isUnrun ? <Chip>not run</Chip> : <State word={asked.outcome} />}
              <span className="muted small">#{asked.number}</span>
              {asked.request ? <RequestLink id={asked.request} /> : null}
              {asked.outcome !== "refused" && scene.parts.some((part) => part.kind === "problem") ? (
                <Chip tone="bad">failed</Chip>
              ) : null}
              {scene.status ? <Chip tone={scene.status.startsWith("2") ? "good" : "warn"}>{scene.status}</Chip> : null}
              <span style={{ marginLeft: "auto" }} className="row">
                <Copy value={link} label="Copy a link to this moment" word="Link" />
              </span>
            </div>
            <Statement text={asked.statement} isSql={isSql} isFlat />
            {record?.binds.length ? (
              <p className="small muted mono wrap" style={{ margin: "4px 0 0" }}>
                {record.binds
                  .map((bind, place) => `${bindHead(place, record.bind_names)}${oneLine(bind, 200)}`)
                  .join(", ")}
              </p>
            ) : null}
          </>
        ) : (
          <span className="muted">{unasked(scene)}</span>
        )}
        <Seen scene={scene} />
      </div>
    </li>
  );
}

/** About so many characters of a value fit. */
const CELL_CHARS = 40;
/** So many rows of a result are drawn at first. */
const ROWS_AT_FIRST = 50;

function Seen({ scene }: { scene: Scene }) {
  return (
    <>
      {scene.parts.map((part, place) => (
        <SeenPart key={place} part={part} />
      ))}
      {scene.isUnrun ? <p className="said muted">It was bound to its values, and not run so far.</p> : null}
      {scene.isPassedOver ? (
        <p className="said muted">The target did not run it: what was asked together with it before had failed.</p>
      ) : null}
    </>
  );
}

function SeenPart({ part }: { part: Part }) {
  switch (part.kind) {
    case "rows":
      return <Rows result={part} />;
    case "text":
      return <Text lines={part.lines} />;
    case "fields":
      return (
        <details className="said">
          <summary>{plural(part.fields.length, "header")}</summary>
          {part.fields.map(([name, value], place) => (
            <div key={place}>
              <span className="muted">
                <Written text={name} />:
              </span>{" "}
              <Written text={value} />
            </div>
          ))}
        </details>
      );
    case "cut":
      return <p className="said muted">More was sent than the recording keeps: of the rest there are digests.</p>;
    case "done":
    case "problem":
    case "note":
      return (
        <p className="said" data-kind={part.kind} data-tone={part.kind === "problem" ? "bad" : undefined}>
          <Written text={part.text} />
        </p>
      );
  }
}

/** So many lines of a text are drawn at first. */
const LINES_AT_FIRST = 40;

function Text({ lines }: { lines: string[] }) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? lines : lines.slice(0, LINES_AT_FIRST);
  return (
    <>
      <p className="said">
        <Written text={shown.join("\n")} />
      </p>
      {lines.length > LINES_AT_FIRST ? (
        <Button size="compact-xs" variant="default" onClick={() => setWhole(!isWhole)}>
          {isWhole ? "Show less" : `Show ${plural(lines.length - LINES_AT_FIRST, "more line")}`}
        </Button>
      ) : null}
    </>
  );
}

function Rows({ result }: { result: Part & { kind: "rows" } }) {
  const [isWhole, setWhole] = useState(false);
  const [isWrapped, setWrapped] = useState(false);
  const masked = new Set(result.masked);
  const isCut = result.rows.some((row) => row.some((value) => value && value.length > CELL_CHARS));
  const rows = isWhole ? result.rows : result.rows.slice(0, ROWS_AT_FIRST);
  const hidden = result.rows.length - rows.length;
  if (result.columns.length === 0 && rows.length === 0) return null;
  return (
    <>
      <div className="result" data-wrapped={isWrapped} tabIndex={0} role="group" aria-label="Rows that the client saw">
        <table>
          {result.columns.length > 0 ? (
            <thead>
              <tr>
                {result.columns.map((name, place) => (
                  <th key={place} scope="col">
                    <Written text={name} />
                  </th>
                ))}
              </tr>
            </thead>
          ) : null}
          <tbody>
            {rows.map((row, place) => (
              <tr key={place}>
                {row.map((value, column) =>
                  value === null ? (
                    <td key={column} className="none" data-masked={masked.has(column) || undefined}>
                      null
                    </td>
                  ) : (
                    <td
                      key={column}
                      data-masked={masked.has(column) || undefined}
                      title={value.length > CELL_CHARS ? revealed(value) : undefined}
                    >
                      <Written text={value} />
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div className="row small muted" style={{ marginTop: 4 }}>
        {plural(result.rows.length + result.more, "row")}
        {masked.size > 0 ? <span className="masked">{plural(masked.size, "column")} masked</span> : null}
        {isCut ? (
          <Button size="compact-xs" variant="default" onClick={() => setWrapped(!isWrapped)}>
            {isWrapped ? "Cut long values" : "Show whole values"}
          </Button>
        ) : null}
        {hidden > 0 ? (
          <Button size="compact-xs" variant="default" onClick={() => setWhole(true)}>
            Show {number(hidden)} more
          </Button>
        ) : null}
        {result.more > 0 ? (
          <span>
            The other {number(result.more)} are only in the recording: <code className="mono">gatehouse replay</code>{" "}
            shows them.
          </span>
        ) : null}
      </div>
    </>
  );
}
