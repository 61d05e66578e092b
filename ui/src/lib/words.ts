/** Accesses in words: what an operation wants, as a person says it. */

import { revealed } from "./hidden";

export interface Words {
  /** What is done. */
  verb: string;
  /** To what. */
  object: string;
  /** Something about it that makes it worse. */
  warning?: string;
  /** How much it weighs: a look, a change, or something that cannot be taken back or looked through. */
  weight: "read" | "write" | "danger";
}

type Weight = Words["weight"];

/** Verbs by action; what is not here is said in the action's own word. */
const VERBS: Record<string, [string, Weight]> = {
  "sql:select": ["reads", "read"],
  "sql:explain": ["asks how a statement would run on", "read"],
  "sql:copy_out": ["copies out of", "read"],
  "sql:show": ["reads the setting", "read"],
  "sql:set": ["sets", "read"],
  "sql:transaction": ["begins or ends a transaction on", "read"],
  "sql:cursor": ["opens a cursor on", "read"],
  "sql:prepared": ["prepares statements on", "read"],
  "sql:listen": ["listens on", "read"],
  "sql:insert": ["inserts into", "write"],
  "sql:update": ["updates", "write"],
  "sql:delete": ["deletes from", "write"],
  "sql:merge": ["merges into", "write"],
  "sql:copy_in": ["loads into", "write"],
  "sql:lock": ["locks", "write"],
  "sql:truncate": ["empties", "danger"],
  "sql:drop": ["drops", "danger"],
  "sql:ddl": ["changes the definition of", "danger"],
  "sql:call": ["calls", "write"],
  "sql:do": ["runs a block of code on", "danger"],
  "sql:opaque": ["does what cannot be looked through on", "danger"],
  "sql:program": ["runs a program at", "danger"],
  "sql:file": ["reads or writes files of", "danger"],
  "sql:admin": ["administers", "danger"],
  "sql:replication": ["replicates", "danger"],
  reveal: ["sees unmasked", "danger"],
  probe: ["searches by", "danger"],
  connect: ["connects to", "read"],
  start: ["works on", "write"],
  exceed: ["goes beyond its task's budget on", "danger"],
  changed: ["uses what is described otherwise than before:", "danger"],
  tunnel: ["goes unseen to", "danger"],
  "http:message": ["sends messages to", "write"],
  "http:undocumented": ["asks for what the API's document does not have:", "danger"],
  "graphql:query": ["queries", "read"],
  "graphql:subscription": ["subscribes to", "read"],
  "graphql:mutation": ["changes by GraphQL", "write"],
  "mcp:session": ["opens a session at", "read"],
  "mcp:list": ["lists what there is at", "read"],
  "mcp:task": ["follows a task at", "read"],
  "mcp:resource": ["reads the resource", "read"],
  "mcp:prompt": ["takes the prompt", "read"],
  "mcp:complete": ["asks for completions of", "read"],
  "mcp:call": ["calls the tool", "write"],
  "mcp:offer": ["is shown", "read"],
  "mcp:sample": ["has the agent's model asked by", "write"],
  "mcp:elicit": ["has the agent's person asked by", "write"],
  "mcp:roots": ["tells its folders to", "write"],
  "mcp:cancel": ["cancels something at", "write"],
  "mcp:other": ["does what has no name at", "danger"],
};

/** Settings that decide what others mean, or what is checked at all. */
const WEIGHTY_SETTINGS = ["session_replication_role", "row_security", "role", "session_authorization", "search_path"];

const SQL_WARNINGS: Record<string, boolean> = { "sql:update": true, "sql:delete": true };

/** Action and resource. Names may hold anything, also what stands between the two; actions do not. */
function parted(access: string): [string, string] {
  const place = access.indexOf(" on ");
  return place < 0 ? [access, ""] : [access.slice(0, place), access.slice(place + 4)];
}

/** `Table shop/public.orders`, without what the page says already. */
function object(resource: string): { kind: string; name: string } {
  const [kind = "", ...rest] = resource.split(" ");
  const id = rest.join(" ");
  const isWithin = !["Target", "Class", "Gateway", "Group", "User", "Agent"].includes(kind) && id.includes("/");
  return { kind, name: isWithin ? id.slice(id.indexOf("/") + 1) : id };
}

/** Columns of one table are said together. */
function gathered(names: string[]): string {
  const tables = new Map<string, string[]>();
  for (const name of names) {
    const dot = name.lastIndexOf(".");
    const [table, column] = [name.slice(0, dot), name.slice(dot + 1)];
    tables.set(table, [...(tables.get(table) ?? []), column]);
  }
  return [...tables].map(([table, columns]) => `${table} (${columns.join(", ")})`).join(", ");
}

function unbounded(action: string, kind: string, facts: Record<string, unknown>): string | undefined {
  if (!SQL_WARNINGS[action] || kind !== "Table") return undefined;
  // Of several statements the facts are those of the worst.
  if (Number(facts.statements_in_batch) > 1 && facts.has_where === false) return "one of its statements has no WHERE";
  if (facts.where_is_constant === true) return "a WHERE that is always so: every row";
  if (facts.has_where === false) return "no WHERE: every row";
  return undefined;
}

/** So many classes are said by name; more of them are as good as all. */
const CLASSES_MAX = 6;

/** The accesses of an operation, the weightiest first, those of a kind together. */
export function inWords(accesses: string[], facts: Record<string, unknown> = {}): Words[] {
  // What is not understood wants everything there is: that it is not understood is what is to be said.
  const opaque = accesses.find((access) => access.startsWith("sql:opaque on "));
  if (opaque) {
    const { name } = object(parted(opaque)[1]);
    return [{ verb: "is not understood, so it could do anything at", object: revealed(name), weight: "danger" }];
  }
  const groups = new Map<string, { action: string; kind: string; names: string[] }>();
  for (const access of accesses) {
    const [action, resource] = parted(access);
    const { kind, name } = object(resource);
    const key = `${action} ${kind}`;
    const group = groups.get(key) ?? { action, kind, names: [] };
    group.names.push(name);
    groups.set(key, group);
  }
  const words = [...groups.values()].map(({ action, kind, names }): Words => {
    const [verb, weight] = VERBS[action] ?? [action.slice(action.indexOf(":") + 1).replaceAll("_", " "), "write"];
    const isHttp = action.startsWith("http:");
    const isWeighty = action === "sql:set" && names.some((name) => WEIGHTY_SETTINGS.includes(name));
    const isMany = kind === "Class" && names.length > CLASSES_MAX;
    const shown = kind === "Column" ? gathered(names) : isMany ? `any of ${names.length}` : names.join(", ");
    return {
      verb: isHttp ? action.slice(5).toUpperCase() : verb,
      object: revealed(kind === "Class" ? `values of class ${shown}` : shown),
      weight: isWeighty
        ? "danger"
        : isHttp && ["http:get", "http:head", "http:options"].includes(action)
          ? "read"
          : weight,
      warning: unbounded(action, kind, facts),
    };
  });
  const order: Weight[] = ["danger", "write", "read"];
  return words.sort((one, other) => order.indexOf(one.weight) - order.indexOf(other.weight));
}

/** One sentence, for lists. */
export function sentence(accesses: string[], facts: Record<string, unknown> = {}): string {
  const [first, ...more] = inWords(accesses, facts);
  if (!first) return "";
  const warning = first.warning ? `, ${first.warning}` : "";
  const rest = more.filter((words) => words.weight !== "read").map((words) => `${words.verb} ${words.object}`);
  return [`${first.verb} ${first.object}${warning}`, ...rest].join("; ");
}

/** Words of statements that do what accesses say. */
const KEYWORDS: Record<string, string[]> = {
  "sql:insert": ["INSERT"],
  "sql:update": ["UPDATE"],
  "sql:delete": ["DELETE"],
  "sql:merge": ["MERGE"],
  "sql:truncate": ["TRUNCATE"],
  "sql:drop": ["DROP"],
  "sql:ddl": ["ALTER", "CREATE", "RENAME", "COMMENT"],
  "sql:copy_in": ["COPY"],
  "sql:copy_out": ["COPY"],
  "sql:call": ["CALL"],
  "sql:do": ["DO"],
  "sql:program": ["PROGRAM"],
  "sql:file": ["COPY"],
  "sql:admin": ["GRANT", "REVOKE", "ALTER", "SET", "ROLE", "REASSIGN", "VACUUM", "CHECKPOINT"],
  "sql:lock": ["LOCK"],
};

export interface Marks {
  /** Words, in capitals. */
  keywords: Set<string>;
  /** Names of what is changed, in small letters. */
  names: Set<string>;
}

/** What in a statement is dangerous, by what the gateway says that it wants. */
export function marks(accesses: string[]): Marks {
  const found: Marks = { keywords: new Set(), names: new Set() };
  for (const access of accesses) {
    const [action, resource] = parted(access);
    if ((VERBS[action]?.[1] ?? "write") === "read") continue;
    for (const word of KEYWORDS[action] ?? []) found.keywords.add(word);
    const { kind, name } = object(resource);
    if (["Table", "Function"].includes(kind)) found.names.add((name.split(".").pop() ?? name).toLowerCase());
  }
  return found;
}
