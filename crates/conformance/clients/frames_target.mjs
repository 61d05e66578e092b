// A target over TLS that says HTTP/2 frame by frame (RFC 9113), also what no library says. It prints its port when it listens.
//
// ANSWERS says how requests are answered, in the order in which they come, with commas between; the last is for all that follow:
// "whole"; "cut": the stream is closed in mid-body, as if nothing was wrong; "closed": it is closed like that behind the end of the
// answer; "fields": there are 1,001 of them; "empty": ten frames that hold nothing come before the body; "nothing": then its connection is read no more.
// FIRST_STREAMS_MAX is how many requests the first connection says that it takes at a time.
import { readFileSync } from "node:fs";
import { createServer } from "node:tls";

const { CERTIFICATE, KEY, ANSWERS, FIRST_STREAMS_MAX } = process.env;
const [cert, key] = [CERTIFICATE, KEY].map((path) => readFileSync(path));
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING] = [0, 1, 3, 4, 6];
const [ACK, END_STREAM, END_HEADERS] = [1, 1, 4];
const MAX_CONCURRENT_STREAMS = 3;
const PREFACE_BYTES = 24;
const HEAD_BYTES = 9;
const NO_ERROR = Buffer.alloc(4);
// 200, and the content type, by the numbers that they have in HPACK (RFC 7541, appendix A).
const HEAD = Buffer.concat([Buffer.from([0x88, 0x0f, 0x10, 10]), Buffer.from("text/plain")]);
// `a: 1`, in full.
const FIELD = Buffer.from([0, 1, 0x61, 1, 0x31]);
const FIELDS_MAX = 1000;
const EMPTY_FRAMES = 10;
const answers = ANSWERS.split(",");
let connections = 0;

function frame(type, flags, stream, content) {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUIntBE(content.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, content]);
}

function settings(connection) {
    if (!FIRST_STREAMS_MAX || connection > 1) return Buffer.alloc(0);
    const setting = Buffer.alloc(6);
    setting.writeUInt16BE(MAX_CONCURRENT_STREAMS, 0);
    setting.writeUInt32BE(Number(FIRST_STREAMS_MAX), 2);
    return setting;
}

function answer(stream, connection) {
    const how = answers.length > 1 ? answers.shift() : answers[0];
    if (how === "nothing") return undefined;
    const body = Buffer.from(`connection ${connection}`);
    const head = how === "fields" ? Buffer.concat([HEAD, ...Array(FIELDS_MAX).fill(FIELD)]) : HEAD;
    const empty = Array(how === "empty" ? EMPTY_FRAMES : 0).fill(frame(DATA, 0, stream, Buffer.alloc(0)));
    const last = frame(DATA, how === "cut" ? 0 : END_STREAM, stream, body);
    const said = [frame(HEADERS, END_HEADERS, stream, head), ...empty, last];
    if (how === "cut" || how === "closed") said.push(frame(RST_STREAM, 0, stream, NO_ERROR));
    return Buffer.concat(said);
}

const server = createServer({ cert, key, ALPNProtocols: ["h2"] }, (socket) => {
    connections += 1;
    const connection = connections;
    let heard = Buffer.alloc(0);
    let begun = false;
    socket.on("error", () => {});
    socket.write(frame(SETTINGS, 0, 0, settings(connection)));
    socket.on("data", (part) => {
        heard = Buffer.concat([heard, part]);
        if (!begun && heard.length < PREFACE_BYTES) return;
        if (!begun) heard = heard.subarray(PREFACE_BYTES);
        begun = true;
        while (heard.length >= HEAD_BYTES && heard.length >= HEAD_BYTES + heard.readUIntBE(0, 3)) {
            const [length, type, flags, stream] = [heard.readUIntBE(0, 3), heard[3], heard[4], heard.readUInt32BE(5)];
            const content = heard.subarray(HEAD_BYTES, HEAD_BYTES + length);
            heard = heard.subarray(HEAD_BYTES + length);
            if (type === SETTINGS && !(flags & ACK)) socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
            if (type === PING && !(flags & ACK)) socket.write(frame(PING, ACK, 0, content));
            if (type !== HEADERS) continue;
            const said = answer(stream, connection);
            if (!said) return socket.pause();
            socket.write(said);
        }
    });
});
// Whoever is not let in is none of its business.
server.on("tlsClientError", () => {});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
