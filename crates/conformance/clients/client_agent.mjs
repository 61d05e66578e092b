// An agent that speaks nothing but MCP, of the official SDK: it works through the gateway's own server, at URL with TOKEN, or by
// the program GATEHOUSE on standard input and output. It prints one JSON object: what each step told it.
import { createRequire } from "node:module";

// A module's own imports are not looked up in NODE_PATH.
const require = createRequire(import.meta.url);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

const { URL: url, TOKEN: token, GATEHOUSE: program, GATEHOUSE_ADMIN_SOCKET: socket } = process.env;
const transport = url
  ? new StreamableHTTPClientTransport(new globalThis.URL(url), {
      requestInit: { headers: { authorization: `Bearer ${token}` } },
    })
  : new StdioClientTransport({
      command: program,
      args: ["mcp", "--as", "agent:claude"],
      env: { GATEHOUSE_ADMIN_SOCKET: socket },
    });
const client = new Client({ name: "agent", version: "1.0.0" });
const report = {};

async function step(name, tool, args = {}) {
  const { content, structuredContent, isError } = await client.callTool({ name: tool, arguments: args });
  report[name] = isError ? { refused: content[0].text } : structuredContent;
  return report[name];
}

async function approved(name, tool, args) {
  const { waits_for_approval: request } = await step(`${name}Asked`, tool, args);
  return step(name, "wait_for_approval", { request });
}

await client.connect(transport);
report.tools = (await client.listTools()).tools.map(({ name }) => name);
await step("targets", "list_targets");
await step("early", "query", { target: "shop", sql: "select 1" });
await step("unknown", "request_access", { targets: ["nowhere"], reason: "ticket 7" });
const { task } = await step("access", "request_access", { targets: ["shop", "api"], reason: "ticket 7", minutes: 5 });
await step("rows", "query", { target: "shop", sql: "select id, email from customers order by id limit 2" });
await step("many", "query", { target: "shop", sql: "select * from generate_series(1, 5000)" });
await step("wrong", "query", { target: "shop", sql: "select nothing from customers" });
await step("forbidden", "query", { target: "shop", sql: "drop table orders" });
await step("otherTool", "query", { target: "api", sql: "select 1" });
await approved("deleted", "query", { target: "shop", sql: "delete from orders where id = 1" });
await step("found", "http_request", { target: "api", method: "GET", path: "/people/1" });
await step("own", "http_request", { target: "api", method: "GET", path: "/", headers: { Authorization: "Bearer x" } });
await approved("removed", "http_request", { target: "api", method: "DELETE", path: "/orders/5" });
await step("nothing", "wait_for_approval", { request: "req-0000000000000" });
await step("ended", "end_access", { task });
await step("late", "query", { target: "shop", sql: "select 1" });
await client.close();
console.log(JSON.stringify(report, null, 2));
