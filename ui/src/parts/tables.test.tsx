import { renderToStaticMarkup } from "react-dom/server";
import { MemoryRouter } from "react-router";
import { expect, test, vi } from "vitest";
import type { Session, Target, Task } from "../api/client";

// There is no page here, and no clock that goes on.
vi.hoisted(() => vi.stubGlobal("window", { location: { origin: "http://gatehouse.test" } }));
vi.mock("react", async (original) => ({
  ...(await original<typeof import("react")>()),
  useSyncExternalStore: (_: unknown, now: () => unknown) => now(),
}));

const { outcomeOf, State } = await import("./basics");
const { Classes } = await import("./classes");
const { Newer, Older } = await import("./listing");
const { SessionTable } = await import("./session-table");
const { TaskTable } = await import("./task-table");
const { Misnamed } = await import("../pages/targets");

/** The rows of a table, each cell by what stands over it. */
function read(table: React.ReactNode): Record<string, string>[] {
  const html = renderToStaticMarkup(<MemoryRouter>{table}</MemoryRouter>);
  const texts = (of: string, tag: string) =>
    [...of.matchAll(new RegExp(`<${tag}[ >].*?</${tag}>`, "g"))].map(([cell]) => cell.replace(/<[^>]*>/g, ""));
  const [head = "", ...rows] = html.split("<tr>").slice(1);
  const names = texts(head, "th");
  return rows.map((row) => {
    const cells = texts(row, "td");
    expect(cells).toHaveLength(names.length);
    return Object.fromEntries(names.map((name, place) => [name, cells[place] ?? ""]));
  });
}

const TASK = {
  id: "tsk-1",
  identity: "agent:claude",
  on_behalf_of: "user:sam",
  reason: "ticket 7",
  state: "live",
  started: "2026-01-02T12:00:00Z",
  expires: "2026-01-02T13:00:00Z",
  targets: ["shop", "api"],
} as Task;

test("each cell of the tasks stands under its own head", () => {
  const now = vi.spyOn(Date, "now").mockReturnValue(Date.parse("2026-01-02T12:30:00Z"));
  const ended = { ...TASK, state: "revoked", ended: "2026-01-02T12:20:00Z" };
  expect(read(<TaskTable entries={[TASK, ended]} />)).toEqual([
    {
      Task: "tsk-1",
      State: "live",
      Who: "agent:claude for user:sam",
      Reason: "ticket 7",
      Targets: "shop, api",
      Began: "30 min ago",
      Ends: "ends in 30 min",
    },
    expect.objectContaining({ State: "revoked", Ends: "ended 10 min ago" }),
  ]);
  now.mockRestore();
});

test("each cell of the sessions stands under its own head", () => {
  const now = vi.spyOn(Date, "now").mockReturnValue(Date.parse("2026-01-02T12:30:00Z"));
  const session = {
    id: "ses-1",
    identity: "agent:claude",
    target: "shop",
    state: "ended",
    opened: "2026-01-02T12:00:00Z",
    closed: "2026-01-02T12:01:00Z",
    operations: 1200,
    refused: 3,
    rows: 50,
    classes: { email: 7, phone: 0 },
  };
  expect(read(<SessionTable entries={[session as unknown as Session]} />)).toEqual([
    {
      Session: "ses-1",
      State: "ended",
      Who: "agent:claude",
      Target: "shop",
      Opened: "30 min ago",
      Lasted: "1 min",
      Operations: "1,200",
      Refused: "refused 3",
      Rows: "50",
      Classes: "email 7phone in the clear",
    },
  ]);
  now.mockRestore();
});

test("a class of which nothing was masked was seen in the clear", () => {
  const said = (counts: Record<string, number> | undefined) =>
    renderToStaticMarkup(<Classes counts={counts} none="nothing" />).replace(/<[^>]*>/g, " ");
  expect(said({ phone: 0 }).trim()).toBe("phone in the clear");
  expect(said({ email: 1200 }).trim()).toBe("email 1,200");
  expect([said({}).trim(), said(undefined).trim()]).toEqual(["nothing", "nothing"]);
});

test("columns that are not what the configuration takes them for are told in the gateway's words", () => {
  const told = (targets: Partial<Target>[]) => renderToStaticMarkup(<Misnamed entries={targets as Target[]} />);
  const line = '"public.custmers.note" in [targets.shop.columns]: there is no table public.custmers';
  const html = told([{ name: "api" }, { name: "shop", misnamed: [line, "and 3 more"] }]);
  expect([...html.matchAll(/<span class="wrap">(.*?)<\/span>/g)].map(([, text]) => text)).toEqual([
    line.replaceAll('"', "&quot;"),
    "and 3 more",
  ]);
  expect(told([{ name: "api" }, { name: "shop", misnamed: [] }])).toBe("");
});

test("a verdict and what became of an operation by it are one word", () => {
  const said = (word: string) => renderToStaticMarkup(<State word={word} />).replace(/<[^>]*>/g, "");
  expect([said("deny"), said(outcomeOf({ refused: "no policy", phase: "run" }))]).toEqual(["refused", "refused"]);
  expect([said("allow"), said(outcomeOf({ phase: "run" }))]).toEqual(["allowed", "allowed"]);
  expect([said("denied"), said("hold")]).toEqual(["denied", "held"]);
});

test("from one part of a listing a link leads to the next, and back to the newest", () => {
  const links = (part: React.ReactNode) => {
    const html = renderToStaticMarkup(
      <MemoryRouter initialEntries={["/sessions?identity=agent:claude&before=9"]}>{part}</MemoryRouter>,
    );
    return [...html.matchAll(/href="([^"]*)"/g)].map(([, to]) => to);
  };
  expect(links(<Older before={7} shown={500} />)).toEqual(["/sessions?identity=agent%3Aclaude&amp;before=7"]);
  expect(links(<Newer before={9} />)).toEqual(["/sessions?identity=agent%3Aclaude"]);
  expect([links(<Older before={undefined} shown={3} />), links(<Newer before={undefined} />)]).toEqual([[], []]);
});
