// A target whose answers are coded, in parts, or of what nobody can look into. It prints its port when it listens.
import { createServer } from "node:http";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";

const PEOPLE = [
    { id: 1, full_name: "Lotte Elmgren", email: "lotte@corp.example", tier: "gold" },
    { id: 2, full_name: "Linus Glenmore", email: "linus@corp.example", tier: "standard" },
];
const many = JSON.stringify(Array(50).fill(PEOPLE).flat());
// The same, by `zstd -19`: this version of Node has none.
const ZSTD = "KLUv/WQ7H2UDADKGFBhwbRt+vsmC1qFva+NchQV/rUvzzVVVOAFJI2N8T7ZbTjWAB+I2qOlMXfP1zvaunuosRhk47RZCv64NN6/O2c1qAeR77vh6LrKiCjFXwjprl5AIAJGPsgZYYA0U8LAAhbmHzpzC5G8w9bQzXpE=";

// Each with its content coding, its content type and its body.
const coded = {
    "/br": ["br", brotliCompressSync(many)],
    "/zstd": ["zstd", Buffer.from(ZSTD, "base64")],
    "/deflate": ["deflate", deflateRawSync(many)],
    "/zlib": ["deflate", deflateSync(many)],
    "/gzip": ["gzip", gzipSync(many)],
    "/br-cut": ["br", brotliCompressSync(many).subarray(0, -9)],
    "/zstd-cut": ["zstd", Buffer.from(ZSTD, "base64").subarray(0, -9)],
    "/deflate-cut": ["deflate", deflateRawSync(many).subarray(0, -9)],
    "/br-and-more": ["br", Buffer.concat([brotliCompressSync(many), Buffer.from(many)])],
    "/lies": ["br", Buffer.from(many)],
    "/unknown": ["compress", Buffer.from(many)],
    "/twice": ["gzip, br", brotliCompressSync(gzipSync(many))],
};
const image = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.from("lotte@corp.example")]);
const part = (head, body) => Buffer.concat([Buffer.from(`--cut\r\n${head}\r\n\r\n`), Buffer.from(body), Buffer.from("\r\n")]);
const parts = Buffer.concat([
    part("content-type: application/json\r\ncontent-id: <people>", JSON.stringify(PEOPLE)),
    part("content-type: text/plain; charset=utf-8", "write to lotte@corp.example\nand nothing else"),
    part("content-type: text/csv", "full_name,tier\r\nLotte Elmgren,gold\r\n"),
    part("content-type: image/png", image),
    part('content-type: text/plain\r\ncontent-disposition: attachment; name="email"; filename="a"', "somebody's"),
    part("x-contact: lotte@corp.example\r\ncontent-type: text/plain", "kept"),
    Buffer.from("--cut--\r\n"),
]);
const plain = {
    "/opaque": ["application/vnd.nobody-knows", Buffer.concat([Buffer.from([0, 1, 2, 255]), Buffer.from("of the target")])],
    "/image": ["image/png", image],
    "/json": ["application/json", Buffer.from(JSON.stringify(PEOPLE))],
    "/mixed": ["multipart/mixed; boundary=cut", parts],
    "/related": ['multipart/related; boundary="cut"; type="application/json"', parts],
    "/alternative": ["multipart/alternative; boundary=cut", parts],
    "/form-data": ["multipart/form-data; boundary=cut", parts],
    "/digest": ["multipart/digest; boundary=cut", parts],
    "/mixed-by-lf": ["multipart/mixed; boundary=cut", Buffer.from(parts.toString("latin1").replaceAll("\r\n", "\n"), "latin1")],
    "/mixed-cut": ["multipart/mixed; boundary=cut", parts.subarray(0, -10)],
    "/mixed-before": ["multipart/mixed; boundary=cut", Buffer.concat([Buffer.from("to lotte@corp.example\r\n"), parts])],
    "/mixed-without": ["multipart/mixed", parts],
};

const server = createServer((request, response) => {
    request.resume();
    request.on("end", async () => {
        const path = request.url.split("?")[0];
        const [type, body] = coded[path] ? ["application/json", coded[path][1]] : (plain[path] ?? ["text/plain", Buffer.from(path)]);
        response.setHeader("content-type", type);
        response.setHeader("etag", '"1"');
        if (coded[path]) response.setHeader("content-encoding", coded[path][0]);
        if (path === "/opaque") response.setHeader("x-echo", request.headers.authorization ?? "none");
        if (!request.url.endsWith("?split")) return response.end(body);
        // In as many pieces as may come.
        for (let at = 0; at < body.length; at += 5) {
            response.write(body.subarray(at, at + 5));
            await new Promise((next) => setImmediate(next));
        }
        response.end();
    });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
