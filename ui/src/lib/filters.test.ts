import { expect, test } from "vitest";
import { identityOf, timesOf } from "./filters";

const of = (values: Record<string, string>) => timesOf({ get: (name) => values[name] ?? "", set: () => undefined });

test("a time is whole before it is asked about", () => {
  expect(of({ hours: "24" })).toEqual({ hours: 24 });
  expect(of({ hours: "9".repeat(400) })).toEqual({ hours: undefined });
  expect(of({ hours: "-1" })).toEqual({ hours: undefined });
  const [since, until] = ["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"];
  expect(of({ hours: "between", since, until })).toEqual({ since, until });
  expect(of({ hours: "between", since: "0002-01-01T00:00", until: "soon" })).toEqual({});
  expect(of({ since })).toEqual({ hours: undefined });
});

test("an identity is whole before it is asked about", () => {
  expect(["agent:claude", "user:dana@example.com", "agent:", "claude", "group:x"].map(identityOf)).toEqual([
    "agent:claude",
    "user:dana@example.com",
    undefined,
    undefined,
    undefined,
  ]);
});
