import { expect, test } from "vitest";
import { chain } from "./chain";

test.each([
  ["by itself", { identity: "agent:claude" }, "agent:claude"],
  ["for nobody", { identity: "agent:claude", on_behalf_of: null, actors: [] }, "agent:claude"],
  ["for a person", { identity: "agent:claude", on_behalf_of: "user:sam" }, "agent:claude, on behalf of user:sam"],
  [
    "sent by another",
    { identity: "agent:claude", on_behalf_of: "user:sam", actors: ["agent:planner"] },
    "agent:claude, sent by agent:planner, on behalf of user:sam",
  ],
  [
    "sent by several, the last of them first",
    { identity: "agent:claude", on_behalf_of: "user:sam", actors: ["orchestrator", "portal"] },
    "agent:claude, sent by orchestrator, sent by portal, on behalf of user:sam",
  ],
  [
    "sent by a name that turns text around",
    { identity: "agent:claude", actors: ["a\u202eb"] },
    "agent:claude, sent by a[U+202E]b",
  ],
])("a chain of actors is said in words: %s", (_, chained, said) => {
  expect(chain(chained)).toBe(said);
});
