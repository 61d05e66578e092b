// A target over TLS that speaks HTTP/2 where its client does, and lets nobody in without a certificate of its authority, unless it is
// OPEN. It prints its port when it listens.
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { createServer } from "node:https";

const { ADDRESS, CERTIFICATE, KEY, AUTHORITY, ONLY_HTTP1, OPEN } = process.env;
const [cert, key, ca] = [CERTIFICATE, KEY, AUTHORITY].map((path) => readFileSync(path));
const options = { cert, key, ca, requestCert: !OPEN, rejectUnauthorized: !OPEN };
let asked = 0;

function answer(request, response, body) {
    const path = request.url.split("?")[0];
    if (path !== "/asked") asked += 1;
    const told = {
        version: request.httpVersion,
        method: request.method,
        path: request.url,
        body,
        authorization: request.headers.authorization,
        te: request.headers.te,
        shown: request.socket.getPeerCertificate?.().subject?.CN,
        asked,
        email: "lotte@corp.example",
    };
    response.setHeader("content-type", "application/json");
    if (path === "/trailers") {
        // HTTP/1.1 has them behind chunks alone, and says before which they are.
        if (request.httpVersion === "1.1") response.setHeader("trailer", "x-sum, x-contact, set-cookie");
        response.write(JSON.stringify(told));
        response.addTrailers({ "x-sum": "6", "x-contact": "lotte@corp.example", "set-cookie": "a=1" });
        return response.end();
    }
    response.end(JSON.stringify(told));
}

function hear(request, response) {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => answer(request, response, Buffer.concat(parts).toString()));
}

const server = ONLY_HTTP1 ? createServer(options, hear) : createSecureServer({ ...options, allowHTTP1: true }, hear);
// Whoever is not let in is none of its business.
server.on("tlsClientError", () => {});
server.listen(0, ADDRESS ?? "127.0.0.1", () => console.log(server.address().port));
