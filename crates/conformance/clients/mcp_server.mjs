// An MCP server for the tests, of the official SDK, with sessions and over Streamable HTTP. It prints its port when it
// listens, and writes each request that it hears to HEARD.
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";

// A module's own imports are not looked up in NODE_PATH.
const require = createRequire(import.meta.url);
const { McpServer, ResourceTemplate } = require("@modelcontextprotocol/sdk/server/mcp.js");
const { StreamableHTTPServerTransport } = require("@modelcontextprotocol/sdk/server/streamableHttp.js");
const { isInitializeRequest } = require("@modelcontextprotocol/sdk/types.js");
const { z } = require("zod");

const { HEARD } = process.env;
const sessions = new Map(); // session id -> { transport, addTool }
let addDescription = "Adds two numbers";

const text = (value) => ({ content: [{ type: "text", text: value }] });
const structured = (shown, value) => ({ ...text(shown), structuredContent: value });

function createMcpServer() {
  const mcp = new McpServer({ name: "lab", version: "1.0.0" }, { instructions: "A server for tests." });

  const addTool = mcp.registerTool(
    "add",
    {
      description: addDescription,
      inputSchema: { a: z.number(), b: z.number() },
      outputSchema: { sum: z.number() },
      annotations: { readOnlyHint: true },
    },
    ({ a, b }) => structured(String(a + b), { sum: a + b }),
  );

  mcp.registerTool(
    "customer",
    {
      description: "Reads a customer",
      inputSchema: { id: z.number() },
      outputSchema: { id: z.number(), email: z.string(), note: z.string() },
      annotations: { readOnlyHint: true },
    },
    ({ id }) => {
      const customer = { id, email: "ada@corp.example", note: "prefers mail to ada@corp.example" };
      return structured(JSON.stringify(customer), customer);
    },
  );

  mcp.registerTool(
    "drop_table",
    {
      description: "Drops a table",
      inputSchema: { name: z.string() },
      annotations: { destructiveHint: true },
    },
    () => text("dropped"),
  );

  // The requests to the client carry relatedRequestId, so they travel on the stream that answers the call.
  mcp.registerTool("ask", { description: "Asks the user" }, async ({ requestId }) => {
    const answer = await mcp.server.elicitInput(
      {
        message: "May I go on?",
        requestedSchema: { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] },
      },
      { relatedRequestId: requestId },
    );
    return text(JSON.stringify(answer));
  });

  mcp.registerTool("think", { description: "Asks the client's model" }, async ({ requestId }) => {
    const answer = await mcp.server.createMessage(
      { messages: [{ role: "user", content: { type: "text", text: "What is two and two?" } }], maxTokens: 20 },
      { relatedRequestId: requestId },
    );
    return text(JSON.stringify(answer.content));
  });

  mcp.registerResource("notes", "file:///notes.txt", { mimeType: "text/plain" }, ({ href }) => ({
    contents: [{ uri: href, mimeType: "text/plain", text: "write to ada@corp.example" }],
  }));

  mcp.registerResource(
    "customer-file",
    new ResourceTemplate("file:///customers/{id}.txt", { list: undefined }),
    { mimeType: "text/plain" },
    ({ href }, { id }) => ({ contents: [{ uri: href, mimeType: "text/plain", text: `customer ${id}` }] }),
  );

  mcp.registerPrompt("summarize", { description: "Summarizes a topic", argsSchema: { topic: z.string() } }, ({ topic }) => ({
    messages: [{ role: "user", content: { type: "text", text: `Summarize ${topic}.` } }],
  }));

  return { mcp, addTool };
}

async function openSession() {
  const { mcp, addTool } = createMcpServer();
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, { transport, addTool }),
  });
  transport.onclose = () => sessions.delete(transport.sessionId);
  await mcp.connect(transport);
  return transport;
}

async function readBody(request) {
  const chunks = await request.toArray();
  return Buffer.concat(chunks).toString();
}

function parseBody(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function respond(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function refuse(response, status, code, message) {
  respond(response, status, { jsonrpc: "2.0", id: null, error: { code, message } });
}

function control(message, response) {
  addDescription = message.description;
  for (const { addTool } of sessions.values()) {
    addTool.update({ description: addDescription }); // sends notifications/tools/list_changed
  }
  respond(response, 200, { sessions: sessions.size });
}

async function answer(request, response) {
  const body = await readBody(request);
  const message = parseBody(body);
  const { method, url: path, headers } = request;
  appendFileSync(HEARD, `${JSON.stringify({ method, path, headers, body: message ?? body })}\n`);

  if (path === "/control" && method === "POST") return control(message, response);
  if (path !== "/mcp") return refuse(response, 404, -32000, "No such path");
  if (method === "POST" && message === undefined) return refuse(response, 400, -32700, "Parse error");

  const sessionId = headers["mcp-session-id"];
  const transport = sessions.get(sessionId)?.transport;
  if (transport) return transport.handleRequest(request, response, message);
  if (sessionId) return refuse(response, 404, -32001, "Session not found");
  if (!isInitializeRequest(message)) return refuse(response, 400, -32000, "Mcp-Session-Id header is required");
  return (await openSession()).handleRequest(request, response, message);
}

const server = createServer((request, response) =>
  answer(request, response).catch((error) => {
    console.error(error.message); // a client that left in the middle of its request
    response.destroy();
  }),
);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
