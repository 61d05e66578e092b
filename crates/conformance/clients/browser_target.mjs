// A site for a browser: a page that does one of each thing that pages do, and what it needs. It prints its port.
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { brotliCompressSync, gzipSync } from "node:zlib";

// A module's own imports are not looked up in NODE_PATH.
const { WebSocketServer } = createRequire(import.meta.url)("ws");

const PAGE = `<!doctype html><meta charset="utf-8"><title>A site</title>
<link rel="stylesheet" href="style.css"><img id="dot" src="dot.svg" alt="">
<form id="form" method="post" action="form"><input name="who" value="Lotte &amp; co"></form>
<a id="moved" href="moved">elsewhere</a><iframe id="inner" src="inner"></iframe>
<script src="page.js"></script>`;

// What the page finds: each entry is a promise of something that does not depend on the way to it.
const SCRIPT = `
const text = async (answer) => [answer.status, answer.headers.get("content-type"), await answer.text()];
const heard = (source, count) => new Promise((resolve, reject) => {
  const said = [];
  source.onerror = () => reject(new Error("it broke after " + said));
  source.onmessage = ({ data }) => { if (said.push(data) === count) { source.close(); resolve(said); } };
});
const pushed = (value) => new ReadableStream({ start(controller) { controller.enqueue(new TextEncoder().encode(value)); controller.close(); } });
const steps = {
  styled: async () => getComputedStyle(document.body).color,
  drawn: async () => document.querySelector("#dot").naturalWidth,
  framed: async () => document.querySelector("#inner").contentDocument.body.textContent,
  gzip: async () => text(await fetch("data.gzip")),
  brotli: async () => text(await fetch("data.br")),
  posted: async () => text(await fetch("told", { method: "POST", body: JSON.stringify({ a: "\\u00e4" }), headers: { "content-type": "application/json" } })),
  uploaded: async () => { const form = new FormData(); form.set("file", new Blob(["one\\0two"]), "a.bin"); return text(await fetch("length", { method: "PUT", body: form })); },
  redirected: async () => { const answer = await fetch("moved"); return [answer.redirected, new URL(answer.url).pathname.split("/").at(-1), await answer.text()]; },
  cookies: async () => { await fetch("cookie"); return [document.cookie, await text(await fetch("cookies"))]; },
  conditional: async () => { const first = await fetch("tagged", { cache: "no-store" }); const tag = first.headers.get("etag"); return [tag, (await fetch("tagged", { cache: "no-store", headers: { "if-none-match": tag } })).status]; },
  part: async () => { const answer = await fetch("bytes", { headers: { range: "bytes=2-5" } }); return [answer.headers.get("content-range"), ...await text(answer)]; },
  streamed: async () => { let all = ""; for await (const part of (await fetch("slow")).body) all += new TextDecoder().decode(part); return all; },
  events: async () => heard(new EventSource("events"), 3),
  socket: async () => { const socket = new WebSocket(new URL("socket", location).href.replace("http", "ws")); socket.onopen = () => { socket.send("one"); socket.send("two"); }; return heard(socket, 2); },
  beacon: async () => { navigator.sendBeacon("beacon", "seen"); for (let tries = 0; tries < 100; tries += 1) { const [, , said] = await text(await fetch("beacons")); if (said === "seen") return said; await new Promise((resolve) => setTimeout(resolve, 50)); } },
  aborted: async () => { const abort = new AbortController(); const answer = await fetch("endless", { signal: abort.signal }); abort.abort(); return answer.text().catch(({ name }) => name); },
  missing: async () => text(await fetch("missing")),
  many: async () => (await Promise.all(Array.from({ length: 24 }, (_, at) => fetch("told?at=" + at).then((answer) => answer.json())))).map(({ path }) => path.split("=")[1]).join(),
};
window.report = async () => {
  const report = {};
  for (const [name, step] of Object.entries(steps)) {
    report[name] = await step().catch((error) => "failed: " + error);
  }
  return report;
};
`;

let beacon = "";

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 30));

async function slowly(response, type, parts) {
  response.writeHead(200, { "content-type": type });
  for (const part of parts) {
    response.write(part);
    await pause();
  }
  response.end();
}

const routes = {
  "/": (_, response) => send(response, "text/html; charset=utf-8", PAGE),
  "/page.js": (_, response) => send(response, "text/javascript", SCRIPT),
  "/style.css": (_, response) => send(response, "text/css", "body { color: rgb(1, 2, 3) }"),
  "/dot.svg": (_, response) => send(response, "image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>'),
  "/inner": (_, response) => send(response, "text/html", "<!doctype html><body>inside"),
  "/data.gzip": (_, response) => send(response, "application/json", gzipSync('{"n":1}'), { "content-encoding": "gzip" }),
  "/data.br": (_, response) => send(response, "text/plain", brotliCompressSync("br\u00f6tli"), { "content-encoding": "br" }),
  "/told": async (request, response) => send(response, "application/json", JSON.stringify({ method: request.method, path: request.url, type: request.headers["content-type"], body: (await body(request)).toString() })),
  "/length": async (request, response) => send(response, "text/plain", `${(await body(request)).length > 100}`),
  "/form": async (request, response) => {
    const said = new URLSearchParams((await body(request)).toString());
    send(response, "text/html", "", { location: `done?who=${encodeURIComponent(said.get("who"))}` }, 303);
  },
  "/done": (request, response) => send(response, "text/html; charset=utf-8", `<!doctype html><title>${decodeURIComponent(request.url.split("=")[1])}</title>`),
  "/moved": (request, response) => send(response, "text/plain", "", { location: `http://${request.headers.host}/there` }, 302),
  "/there": (_, response) => send(response, "text/html", "<!doctype html><title>There</title>"),
  "/cookie": (_, response) => send(response, "text/plain", "", { "set-cookie": ["seen=1; Path=/", "hidden=2; Path=/; HttpOnly"] }),
  "/cookies": (request, response) => send(response, "text/plain", (request.headers.cookie ?? "").split("; ").sort().join("; ")),
  "/tagged": (request, response) =>
    request.headers["if-none-match"] === '"one"' ? response.writeHead(304).end() : send(response, "text/plain", "tagged", { etag: '"one"' }),
  "/bytes": (request, response) =>
    request.headers.range === "bytes=2-5"
      ? send(response, "application/octet-stream", "2345", { "content-range": "bytes 2-5/10" }, 206)
      : send(response, "application/octet-stream", "0123456789"),
  "/slow": (_, response) => slowly(response, "text/plain", ["one ", "two ", "three"]),
  "/events": (_, response) => slowly(response, "text/event-stream", ["data: one\n\n", "data: two\n", "\ndata: three\n\n"]),
  "/endless": (_, response) => slowly(response, "text/plain", Array.from({ length: 600 }, () => "more ")),
  "/beacon": async (request, response) => {
    beacon = (await body(request)).toString();
    response.writeHead(204).end();
  },
  "/beacons": (_, response) => send(response, "text/plain", beacon),
};

function send(response, type, content, fields = {}, status = 200) {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(content), ...fields }).end(content);
}

const server = createServer((request, response) => {
  const route = routes[request.url.split("?")[0]] ?? ((_, response) => send(response, "text/plain", "nothing is here", {}, 404));
  route(request, response);
});
const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(`heard ${data}`)));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
