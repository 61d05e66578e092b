/** Replays of conversations that were really had: which answer is whose, for all that drivers do at once. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Moment } from "../api/client";
import { type Part, scenes } from "./scenes";

interface Conversation {
  name: string;
  moments: Moment[];
}

const lines = readFileSync(new URL("conversations.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n");
const conversations = lines.map((line) => JSON.parse(line) as Conversation);

function shown(part: Part): string {
  switch (part.kind) {
    case "rows":
      return `${part.rows.length} rows (${part.rows[0]?.join(", ").slice(0, 60) ?? ""})`;
    case "text":
      return `text ${part.lines.length}`;
    case "fields":
    case "cut":
      return part.kind;
    default:
      return `${part.kind}: ${part.text.split("\n")[0]?.slice(0, 80)}`;
  }
}

test.each(conversations)("$name", async ({ name, moments }) => {
  const told = scenes(moments).map(({ asked, parts, isPassedOver, isUnrun }) => {
    const what = asked
      ? `#${asked.number} ${asked.outcome} ${asked.statement.replace(/\s+/g, " ")}`
      : "(not an answer)";
    const came = isPassedOver ? ["passed over"] : isUnrun ? ["not run"] : parts.map(shown);
    return [what, ...came.map((line) => `    ${line}`)].join("\n");
  });
  await expect(`${told.join("\n")}\n`).toMatchFileSnapshot(`conversations/${name.replaceAll(" ", "-")}.txt`);
});
