// Node's fetch: the same calls, and what comes of them, to the address in BASE.
import { createHash } from "node:crypto";

const base = process.env.BASE;
const headers = process.env.BASIC ? { authorization: "Basic " + Buffer.from(process.env.BASIC).toString("base64") } : {};
const varying = new Set(["authorization", "host", "accept-encoding", "connection", "transfer-encoding", "content-length"]);
const digest = (data) => `${data.byteLength} ${createHash("sha256").update(Buffer.from(data)).digest("hex").slice(0, 16)}`;

async function told(name, path, options = {}) {
    const answer = await fetch(base + path, { ...options, headers: { ...headers, ...options.headers } });
    const said = await answer.json();
    said.fields = said.fields.filter(([field]) => !varying.has(field)).sort();
    console.log(name, answer.status, JSON.stringify(said));
}

await told("get", "/told?a=1&b=%C3%A4", { headers: { "x-own": "1" } });
await told("json", "/told", { method: "POST", body: JSON.stringify({ a: [1, "\u00e4"] }), headers: { "content-type": "application/json" } });
await told("form", "/told", { method: "PUT", body: new URLSearchParams({ a: "1 2", b: "&=" }) });
const stream = new ReadableStream({
    start(controller) {
        for (const part of ["one, ", "two"]) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
    },
});
await told("stream", "/told", { method: "POST", body: stream, duplex: "half" });
await told("delete", "/told", { method: "DELETE" });
for (const path of ["/people", "/people.gz", "/split", "/lines", "/picture", "/big?n=3000000"]) {
    const answer = await fetch(base + path, { headers });
    console.log(path, answer.status, answer.headers.get("content-type"), digest(await answer.arrayBuffer()));
}
const events = await fetch(base + "/events", { headers });
let text = "";
for await (const part of events.body) text += Buffer.from(part).toString();
console.log("events", text.length);
const moved = await fetch(base + "/moved", { headers, redirect: "manual" });
console.log("moved", moved.status);
