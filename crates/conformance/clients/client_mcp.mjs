// Does one of each thing with the official SDK's client, at URL and with AUTHORIZATION, and prints one JSON object: for each
// step its result, or {"error": {"code", "message"}}.
import { createRequire } from "node:module";

// A module's own imports are not looked up in NODE_PATH.
const require = createRequire(import.meta.url);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ToolListChangedNotificationSchema,
} = require("@modelcontextprotocol/sdk/types.js");

const { URL: url, AUTHORIZATION: authorization } = process.env;
const headers = authorization ? { authorization } : {};
const transport = new StreamableHTTPClientTransport(new globalThis.URL(url), { requestInit: { headers } });
const client = new Client({ name: "lab-client", version: "1.0.0" }, { capabilities: { elicitation: {}, sampling: {} } });
const report = { asked: [], notified: [] };

client.setRequestHandler(ElicitRequestSchema, ({ method, params }) => {
  report.asked.push({ method, params });
  return { action: "accept", content: { ok: true } };
});
client.setRequestHandler(CreateMessageRequestSchema, ({ method, params }) => {
  report.asked.push({ method, params });
  return { role: "assistant", model: "lab-model", stopReason: "endTurn", content: { type: "text", text: "four" } };
});
client.setNotificationHandler(ToolListChangedNotificationSchema, ({ method }) => {
  report.notified.push(method);
});

async function step(name, action) {
  try {
    report[name] = await action();
  } catch ({ code, message }) {
    report[name] = { error: { code, message } };
  }
}

await step("initialize", async () => {
  await client.connect(transport);
  return {
    protocolVersion: transport.protocolVersion,
    sessionId: transport.sessionId,
    serverInfo: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
  };
});
await step("tools", () => client.listTools());
await step("add", () => client.callTool({ name: "add", arguments: { a: 2, b: 3 } }));
await step("customer", () => client.callTool({ name: "customer", arguments: { id: 7 } }));
await step("dropTable", () => client.callTool({ name: "drop_table", arguments: { name: "orders" } }));
await step("resources", () => client.listResources());
await step("resourceTemplates", () => client.listResourceTemplates());
await step("notes", () => client.readResource({ uri: "file:///notes.txt" }));
await step("customerFile", () => client.readResource({ uri: "file:///customers/7.txt" }));
await step("prompts", () => client.listPrompts());
await step("summarize", () => client.getPrompt({ name: "summarize", arguments: { topic: "tides" } }));
await step("ask", () => client.callTool({ name: "ask" }));
await step("think", () => client.callTool({ name: "think" }));
await step("terminate", async () => {
  await transport.terminateSession();
  return { sessionId: transport.sessionId ?? null };
});
await client.close();
console.log(JSON.stringify(report, null, 2));
