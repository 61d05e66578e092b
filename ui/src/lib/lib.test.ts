import { describe, expect, test } from "vitest";
import type { Moment } from "../api/client";
import { bindHead, bindName, clock, exact, micros, oneLine, plural, span } from "./format";
import { around, pieces } from "./found";
import { cut, MARKS_MAX, paint, plain } from "./paint";
import { asked, playground } from "./question";
import { scenes } from "./scenes";
import { inWords, marks, sentence } from "./words";

/**
 * Moments by a short hand: `3:allow` asks, `3.1:allow` in the turn 1, `r3.1` runs it there, `v3.1` has it described, which `[a,b]` does
 * by names of columns, `m0,1` says which are masked, `d` ends an answer, `e` fails, `p`
 * prepares, `b` binds, `n` remarks, `t` ends a turn; all else is a row.
 */
function played(script: string): string[] {
  const WORDS: Record<string, Pick<Moment, "kind"> & Record<string, unknown>> = {
    d: { kind: "done", text: "DONE" },
    e: { kind: "problem", text: "ERROR" },
    p: { kind: "prepared" },
    b: { kind: "bound" },
    n: { kind: "note", text: "NOTICE" },
    t: { kind: "turn" },
  };
  const moments = script.split(" ").map((word, place) => {
    const when = { place, at: place * 10 };
    const [, number, turn, outcome] = /^(\d+)(?:\.(\d+))?:(\w+)$/.exec(word) ?? [];
    if (outcome) {
      const of = turn === undefined ? {} : { turn: Number(turn) };
      const statement = outcome === "message" ? "message to /room" : `s${number}`;
      return { ...when, kind: "asked", outcome, number: Number(number), statement, ...of };
    }
    const [, described, of] = /^v(\d+)\.(\d+)$/.exec(word) ?? [];
    if (described) return { ...when, kind: "describe", turn: Number(of), number: Number(described) };
    const [, masked] = /^m([\d,]+)$/.exec(word) ?? [];
    if (masked) return { ...when, kind: "masked", columns: masked.split(",").map(Number) };
    const [, names] = /^\[(.*)\]$/.exec(word) ?? [];
    if (names !== undefined) return { ...when, kind: "columns", names: names.split(",").filter(Boolean) };
    const [, ran, within] = /^r(\d+|\?)\.(\d+)$/.exec(word) ?? [];
    if (ran) return { ...when, kind: "run", turn: Number(within), ...(ran === "?" ? {} : { number: Number(ran) }) };
    return { ...when, ...(WORDS[word] ?? { kind: "row", values: [word] }) };
  });
  return scenes(moments as Moment[]).map((scene) => {
    const parts = scene.parts.map((part) => {
      if (part.kind === "rows" && part.masked) return `${part.rows.flat().join("")}<${part.masked}>`;
      if (part.kind === "rows") return [...part.columns.map((name) => `[${name}]`), ...part.rows.flat()].join("");
      return part.kind === "done" ? "." : part.kind === "problem" ? "!" : part.kind;
    });
    return `${scene.asked?.number ?? "-"}=${scene.isPassedOver ? "passed over" : scene.isUnrun ? "not run" : parts.join("")}`;
  });
}

describe("a replay gives each operation its own answer", () => {
  test.each([
    ["one after the other", "0.0:allow r0.0 x d t 1.1:allow r1.1 y d t", ["0=x.", "1=y."]],
    ["without turns", "0:allow x d t 1:allow y d t", ["0=x.", "1=y."]],
    [
      "prepared, then run",
      "0.0:prepare 1.0:allow r1.0 p b x d t 2.1:prepare 3.1:allow r3.1 p b y d t",
      ["0=", "1=x.", "2=", "3=y."],
    ],
    ["in a pipeline", "0.0:allow r0.0 1.0:allow r1.0 b x d b y d t", ["0=x.", "1=y."]],
    ["bound together, run in another order", "0.0:allow 1.0:allow r1.0 r0.0 b b y d x d t", ["0=x.", "1=y."]],
    ["bound in one turn, run in a later one", "0.0:allow 1.1:allow r0.1 b t b x d t", ["0=x.", "1=not run"]],
    [
      "a part of a portal, and something else",
      "0.0:allow r0.0 1.0:allow r1.0 r0.0 b x d b y d z d t",
      ["0=x.z.", "1=y."],
    ],
    ["a cursor that a statement opened", "0.0:allow r0.0 d t r?.1 x d t", ["0=.", "-=x."]],
    ["several statements in one", "0.0:allow r0.0 1.1:allow r1.1 x d y d t z d t", ["0=x.y.", "1=z."]],
    ["several in one, of which one fails", "0.0:allow r0.0 1.1:allow r1.1 x d e t z d t", ["0=x.!", "1=z."]],
    ["nothing to answer", "0.0:allow 1.1:allow r1.1 b t b x d t", ["0=not run", "1=x."]],
    ["a notice of the next", "0.0:allow r0.0 1.0:allow r1.0 b x d n b y d t", ["0=x.", "1=notey."]],
    ["refused", "0.0:refused e t 1.1:allow r1.1 x d t", ["0=!", "1=x."]],
    [
      "failed in a pipeline, with more turns asked for already",
      "0.0:allow r0.0 1.0:allow r1.0 2.0:allow r2.0 3.1:allow r3.1 b x d b e t b y d t",
      ["0=x.", "1=!", "2=passed over", "3=y."],
    ],
    ["failed before it was bound", "0.0:allow r0.0 1.0:allow r1.0 b x d e t", ["0=x.", "1=!"]],
    ["turns without anything", "0.2:allow r0.2 t t x d t", ["0=x."]],
    ["failed when it was prepared", "0.0:prepare e t 1.1:allow r1.1 x d t", ["0=!", "1=x."]],
    ["failed when it was prepared, after what did not", "0.0:allow r0.0 1.0:prepare b x d e t", ["0=x.", "1=!"]],
    ["prepared one after the other", "0.0:prepare 1.0:prepare 2.0:prepare p e t", ["0=", "1=!", "2=passed over"]],
    ["a notice before the answer", "0.0:allow r0.0 n b x d t 1.1:allow r1.1 n x d t", ["0=notex.", "1=notex."]],
    ["a notice before it is asked", "n 0.0:allow r0.0 x d t", ["-=note", "0=x."]],
    ["messages both ways in one exchange", "0:allow x 1:allow y t 2:allow z t", ["0=x", "1=y", "2=z"]],
    ["messages of a socket", "0:allow x 1:message y z 2:message t", ["0=x", "1=", "-=yz", "2="]],
    ["without being asked", "x", ["-=x"]],
    ["a statement by itself", "0.0:allow r0.0 [a] x d t", ["0=[a]x."]],
    ["described, where nothing says what", "0.0:allow r0.0 b [a] x d t", ["0=[a]x."]],
    [
      "described together, in the order of the descriptions",
      "0.0:allow 1.0:allow v0.0 v1.0 r0.0 r1.0 b b [a] [b] x d y d t",
      ["0=[a]x.", "1=[b]y."],
    ],
    ["the first alone is described", "0.0:allow 1.0:allow v0.0 r0.0 r1.0 b b [a] x d y d t", ["0=[a]x.", "1=y."]],
    ["what gives no rows", "0.0:allow v0.0 r0.0 1.0:allow v1.0 r1.0 b [] d b [a] x d t", ["0=.", "1=[a]x."]],
    ["described in vain", "0.0:prepare v0.0 1.0:prepare v1.0 p e t", ["0=!", "1=passed over"]],
    ["failed behind what was described", "0.0:prepare v0.0 1.0:prepare v1.0 p [a] e t", ["0=", "1=!"]],
    ["described behind a failure", "0.0:prepare p t 1.1:allow r1.1 v0.1 b e t", ["0=", "1=!"]],
    ["of columns that are masked", "0.0:allow r0.0 m0,2 x n y d z d t", ["0=x<0,2>notey<0,2>.z."]],
    ["what ends the session is no answer", "0.0:allow r0.0 x d t e", ["0=x.", "-=!"]],
  ])("%s", (_, script, expected) => {
    expect(played(script)).toEqual(expected);
  });
});

describe("accesses in words", () => {
  test("the weightiest comes first, with what makes it worse", () => {
    const accesses = ["sql:select on Table shop/public.orders", "sql:delete on Table shop/public.orders"];
    expect(sentence(accesses, { has_where: false })).toBe("deletes from public.orders, no WHERE: every row");
    expect(sentence(accesses, { has_where: false, where_is_constant: true })).toContain("always so");
    expect(sentence(accesses, { has_where: true })).toBe("deletes from public.orders");
  });

  test("columns of a table are said together, and names are whole", () => {
    const columns = ["probe on Column shop/public.customers.email", "probe on Column shop/public.customers.ssn"];
    expect(inWords(columns)[0]?.object).toBe("public.customers (email, ssn)");
    expect(inWords(["sql:update on Table shop/public.sales on hold"])[0]?.object).toBe("public.sales on hold");
  });

  test("what is said of one statement is not said of all", () => {
    const batch = { has_where: false, statements_in_batch: 2 };
    expect(sentence(["sql:delete on Table shop/public.a"], batch)).toContain("one of its statements has no WHERE");
    expect(inWords(["sql:update on Function shop/pg_catalog.nextval"], batch)[0]?.warning).toBeUndefined();
    expect(inWords(["sql:set on Setting shop/session_replication_role"])[0]?.weight).toBe("danger");
  });

  test("what hides in a name is shown", () => {
    expect(inWords(["sql:drop on Table shop/public.a\u202eb"])[0]?.object).toBe("public.a[U+202E]b");
  });

  test("an action that nobody has words for is said as it is", () => {
    expect(inWords(["k8s:evict on Target prod"])[0]).toMatchObject({ verb: "evict", weight: "write" });
  });
});

describe("a statement in colours", () => {
  const text = (statement: string) => paint(statement, marks(["sql:delete on Table shop/public.orders"]));

  test("marks what is dangerous, and not what only looks like it", () => {
    const dangerous = (statement: string) =>
      text(statement)
        .filter((piece) => piece.isDangerous)
        .map((piece) => piece.text);
    expect(dangerous("delete from orders where note = 'delete orders' -- delete")).toEqual(["delete", "orders"]);
    expect(dangerous("select 1")).toEqual([]);
  });

  test("loses no character", () => {
    const statement = 'DELETE\nFROM "Orders" -- 😀\n WHERE a = $tag$ x $tag$;';
    expect(
      text(statement)
        .map((piece) => piece.text)
        .join(""),
    ).toBe(statement);
  });

  test("shows what hides", () => {
    expect(plain("a\u202eb\u00a0c\u200b").map((piece) => piece.text)).toEqual([
      "a",
      "U+202E",
      "b",
      "U+00A0",
      "c",
      "U+200B",
    ]);
  });

  test("a carriage return ends a comment, and is seen", () => {
    const pieces = paint("update t set a = 1 where id = 1 -- one only\r or id > 0");
    expect(pieces.find((piece) => piece.text === "U+000D")?.kind).toBe("hidden");
    expect(pieces.find((piece) => piece.text === "or")?.kind).toBe("keyword");
  });

  test("empty lines do not push anything out of sight", () => {
    const said = (statement: string) =>
      paint(statement)
        .map((piece) => piece.text)
        .join("");
    expect(said(`select 1${"\n".repeat(41)}from t`)).toBe("select 1\n40 empty lines\nfrom t");
    expect(said("select 1\n\nfrom t")).toBe("select 1\n\nfrom t");
  });

  test("is few elements of a page, however long it is, and what hides in it stays marked", () => {
    const line = "insert into orders values (1);".padEnd(34);
    const lines = Array.from({ length: 60_000 }, () => line);
    const long = lines.join("\n");
    expect(long.length).toBeGreaterThan(2_000_000);
    expect(plain(long)).toEqual([{ text: long, kind: "", isDangerous: false }]);
    const [hidden, empty] = [long.replace("values", "val\u200bues"), "\n".repeat(7)];
    expect(plain(`${hidden}${empty}end`).map(({ text, kind }) => (kind ? text : "…"))).toEqual([
      "…",
      "U+200B",
      "…",
      "6 empty lines",
      "…",
    ]);
  });

  test("is few elements of a page also where it is made to be many", () => {
    const all = (text: string) => {
      const pieces = plain(text);
      expect(pieces.length).toBeLessThan(2 * MARKS_MAX + 2);
      return pieces.map((piece) => piece.text).join("");
    };
    expect(all("a\u200b".repeat(20_000)).endsWith("a[U+200B]a[U+200B]")).toBe(true);
    expect(all(`a${"\n".repeat(4)}`.repeat(20_000)).endsWith("a\n[3 empty lines]\n")).toBe(true);
    // White space that no line ends is looked through once.
    expect(all(" ".repeat(2_000_000))).toHaveLength(2_000_000);
  });

  test("is not cut inside of a character", () => {
    expect(cut("ab😀", 3)).toBe(2);
    expect(cut("ab😀", 4)).toBe(4);
    expect(cut("abc", 9)).toBe(3);
  });
});

test("figures are written alike", () => {
  expect([span(0), span(59), span(61), span(3_600), span(90_000)]).toEqual([
    "0 s",
    "59 s",
    "1 min 1 s",
    "1 h",
    "1 d 1 h",
  ]);
  expect([micros(7), micros(1_500), micros(25_000), micros(2_000_000)]).toEqual(["7 µs", "1.5 ms", "25 ms", "2.00 s"]);
  expect([clock(1_500_000), clock(3_661_000_000)]).toEqual(["0:01.500", "1:01:01.000"]);
  expect([plural(1, "row"), plural(2, "access", "accesses")]).toEqual(["1 row", "2 accesses"]);
  const [noon, today] = ["2026-01-02T12:00:00.125", new Date("2026-01-02T23:00:00")];
  expect([exact(noon, today), exact(noon, new Date("2026-01-03T00:00:00"))]).toEqual([
    "12:00:00.125",
    "Jan 2 12:00:00.125",
  ]);
  expect(oneLine(" a\n\tb\u202e ")).toBe("a b[U+202E]");
});

test("a bind value is called by the name that the gateway gives it, else by its number", () => {
  expect([bindName(0, ["body"]), bindName(1, ["body"]), bindName(1, undefined)]).toEqual(["body", "$2", "$2"]);
  expect([bindHead(0, ["body"]), bindHead(0, []), bindHead(0, undefined)]).toEqual(["body: ", "$1 = ", "$1 = "]);
});

test("what was looked for is marked where it stands", () => {
  const marked = (text: string, wanted?: string) =>
    pieces(text, wanted).map((piece) => (piece.isFound ? `[${piece.text}]` : piece.text));
  expect(marked("Select note, NOTE", "note")).toEqual(["Select ", "[note]", ", ", "[NOTE]"]);
  expect(marked("select", "x")).toEqual(["select"]);
  expect(marked("aaa", "aa")).toEqual(["[aa]", "a"]);
  // Small letters of another length would mark something else.
  expect(marked("\u0130 note", "note")).toEqual(["\u0130 note"]);
  const far = around(`${"x".repeat(500)} needle ${"y".repeat(500)}`, "needle");
  expect(far.startsWith("… x") && far.includes("needle") && far.length <= 240).toBe(true);
  expect(around("a\n b", undefined)).toBe("a b");
});

test("a question survives its link", () => {
  const question = { target: "shop", identity: "agent:claude", behalf: "", statement: "select '#&=é\n' -- 1" };
  const link = playground(question);
  expect(asked(link.slice(link.indexOf("#")))).toEqual(question);
  expect(asked("#%E0%A4%A")).toMatchObject({ target: "", statement: "" });
});
