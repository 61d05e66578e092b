// A target over TLS that speaks HTTP/2 where its client does, and lets nobody in without a certificate of its authority, unless it is
// OPEN. It prints its port when it listens.
import { readFileSync } from "node:fs";
import { constants, createSecureServer } from "node:http2";
import { createServer } from "node:https";

const { ADDRESS, CERTIFICATE, KEY, AUTHORITY, ONLY_HTTP1, OPEN } = process.env;
const [cert, key, ca] = [CERTIFICATE, KEY, AUTHORITY].map((path) => readFileSync(path));
const options = { cert, key, ca, requestCert: !OPEN, rejectUnauthorized: !OPEN };
let asked = 0;
let refused = 0;
// By what a client gave up an answer that does not end.
let givenUp;

function hint(request, response, count) {
    const fields = { link: "<style.css>; rel=preload", "x-contact": "lotte@corp.example" };
    for (let turn = 0; turn < count; turn += 1) {
        if (request.httpVersion === "1.1") response.writeEarlyHints(fields);
        else response.stream.additionalHeaders({ ":status": 103, ...fields });
    }
    if (request.httpVersion !== "1.1") response.stream.additionalHeaders({ ":status": 102 });
}

function answer(request, response, body) {
    const path = request.url.split("?")[0];
    if (path !== "/asked") asked += 1;
    if (path === "/refused" && refused === 0) {
        refused += 1;
        return request.stream.close(constants.NGHTTP2_REFUSED_STREAM);
    }
    if (path === "/hints") hint(request, response, Number(new URLSearchParams(request.url.split("?")[1]).get("n") ?? 1));
    const told = {
        version: request.httpVersion,
        method: request.method,
        path: request.url,
        body,
        authorization: request.headers.authorization,
        te: request.headers.te,
        shown: request.socket.getPeerCertificate?.().subject?.CN,
        asked,
        refused,
        givenUp,
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
    if (path.startsWith("/fields/")) {
        const count = Number(path.slice("/fields/".length));
        for (let at = 0; at < count; at += 1) response.setHeader(`x-f${at}`, "1");
    }
    if (path.startsWith("/trailers/")) {
        response.write(JSON.stringify(told));
        const count = Number(path.slice("/trailers/".length));
        response.addTrailers(Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-t${at}`, "1"])));
        return response.end();
    }
    if (path === "/endless") {
        response.stream.once("close", () => (givenUp = response.stream.rstCode));
        return response.write("{");
    }
    response.end(JSON.stringify(told));
    // Whoever asks next does so on another connection.
    if (path === "/leaves") request.stream.session.close();
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
