import { expect, test } from "vitest";
import { beforeOf, PAGES_MAX, partAt, restOf, withThese } from "./listing";

test("no more than some pages are drawn at a time", () => {
  expect(withThese(7, PAGES_MAX - 1)).toBe(7);
  expect(withThese(7, PAGES_MAX)).toBeUndefined();
  expect(withThese(undefined, 1)).toBeUndefined();
});

test("what is not drawn is not lost", () => {
  expect(restOf({ pages: [{ next: 9 }, { next: 7 }] })).toBe(7);
  expect(restOf({ pages: [{ next: 9 }, {}] })).toBeUndefined();
  expect(restOf(undefined)).toBeUndefined();
});

test("a part of a listing has an address", () => {
  const search = new URLSearchParams("identity=agent:claude&before=9");
  expect(partAt(search, 7)).toBe("identity=agent%3Aclaude&before=7");
  expect(partAt(search, undefined)).toBe("identity=agent%3Aclaude");
  expect(beforeOf("7")).toBe(7);
  for (const text of ["", "0", "-1", "x", "9".repeat(20)]) expect(beforeOf(text)).toBeUndefined();
});
