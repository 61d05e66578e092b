/** A session, as it went: what was asked, what became of it, and what the client saw. */

import { Button, Switch } from "@mantine/core";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { Link, useParams, useSearchParams } from "react-router";
import { api, must, type Session } from "../api/client";
import { me, replay, session as sessionQuery, targets } from "../api/queries";
import { clock, micros, moment, number, plural } from "../lib/format";
import { revealed } from "../lib/hidden";
import { type Part, type Scene, scenes } from "../lib/scenes";
import {
  Ago,
  Chip,
  Copy,
  Empty,
  Heading,
  More,
  RequestLink,
  State,
  TaskLink,
  toneOf,
  Waiting,
  Who,
} from "../parts/basics";
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
        <Har session={session} />
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
            <Who identity={session.identity} behalf={session.on_behalf_of} />
          </dd>
          <dt>Task</dt>
          <dd>
            <TaskLink id={session.task} />
          </dd>
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
                {session.cause ? <span className="muted"> — {session.cause}</span> : null}
              </dd>
            </>
          ) : null}
          <dt>Operations</dt>
          <dd>
            {number(session.operations)}
            {session.refused > 0 ? `, ${number(session.refused)} refused` : ""}
          </dd>
          <dt>Masked</dt>
          <dd>
            {session.state === "live" ? (
              <span className="muted">counted when it ends</span>
            ) : (
              <span className="row">
                {Object.entries(session.classes ?? {}).map(([name, count]) => (
                  <Chip key={name}>
                    {name} {number(count)}
                  </Chip>
                ))}
                {session.masked === 0 ? "nothing" : null}
              </span>
            )}
          </dd>
        </dl>
      </div>
    </section>
  );
}

function useProtocol(target: string): string | undefined {
  return useQuery(targets).data?.find((entry) => entry.name === target)?.protocol;
}

function Har({ session }: { session: Session }) {
  const protocol = useProtocol(session.target);
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

/** The scenes of a session, of which those that somebody came to see are loaded and brought into view. */
function useScenes(session: Session) {
  const query = useInfiniteQuery(replay(session.id));
  const [search] = useSearchParams();
  const wanted = wantedIn(search);
  const all = useMemo(() => scenes(query.data?.pages.flatMap((page) => page.moments) ?? []), [query.data]);
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
  const protocol = useProtocol(session.target);
  const isLive = session.state === "live";
  const [isFollowed, setFollowed] = useState(isLive && !isWanted);
  const end = useFollowing(isFollowed, all.length);
  if (!query.data) return <Waiting query={query} />;
  const isTorn = !query.hasNextPage && query.data.pages.at(-1)?.is_torn;
  const asked = all.filter((scene) => scene.asked);
  const length = all.at(-1)?.ends ?? 0;
  return (
    <>
      <div className="strip">
        <div className="row" style={{ marginBottom: 6 }}>
          <h2 style={{ margin: 0 }}>Replay</h2>
          <span className="muted small">
            {plural(asked.length, "operation")} over {micros(length)}; rows as the client saw them
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
              isSql={protocol === undefined || protocol === "postgres"}
            />
          ))}
        </ol>
        <More query={query} />
        {isTorn ? (
          <p className="pad muted">{isLive ? "It goes on." : "The recording ends here, in the middle of something."}</p>
        ) : null}
      </div>
      <div ref={end} />
    </>
  );
}

/** When what was asked: each operation a mark, to be jumped to. */
function Ticks(props: { scenes: Scene[]; length: number; now?: Scene; go: (place: number) => void }) {
  const { scenes, length, now, go } = props;
  const share = (at: number) => (at / Math.max(1, length)) * 1000;
  const jump = (event: React.MouseEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * length;
    const nearest = scenes.reduce((best, scene) =>
      Math.abs(scene.at - wanted) < Math.abs(best.at - wanted) ? scene : best,
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
            width={Math.max(2.5, share(scene.ends - scene.at))}
            height="18"
            opacity="0.75"
          />
        ))}
      </svg>
    </div>
  );
}

function Shown({ scene, isNow, isSql }: { scene: Scene; isNow: boolean; isSql: boolean }) {
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
              <State word={asked.outcome} />
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
          </>
        ) : (
          <span className="muted">Not an answer</span>
        )}
        <Seen scene={scene} />
      </div>
    </li>
  );
}

/** So many rows of a result are drawn at first. */
const ROWS_AT_FIRST = 50;

function Seen({ scene }: { scene: Scene }) {
  return (
    <>
      {scene.parts.map((part, place) => (
        <SeenPart key={place} part={part} />
      ))}
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
  const rows = isWhole ? result.rows : result.rows.slice(0, ROWS_AT_FIRST);
  const hidden = result.rows.length - rows.length;
  if (result.columns.length === 0 && rows.length === 0) return null;
  return (
    <>
      <div className="result" tabIndex={0} role="group" aria-label="Rows that the client saw">
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
                    <td key={column} className="none">
                      null
                    </td>
                  ) : (
                    <td key={column} title={value.length > 40 ? revealed(value) : undefined}>
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
        {hidden > 0 ? (
          <Button size="compact-xs" variant="default" onClick={() => setWhole(true)}>
            Show {number(hidden)} more
          </Button>
        ) : null}
        {result.more > 0 ? (
          <span>
            Of these {number(result.more)} stand in the recording alone: <code className="mono">gatehouse replay</code>{" "}
            shows them.
          </span>
        ) : null}
      </div>
    </>
  );
}
