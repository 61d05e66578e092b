// Uploads as many JSON documents at a time over one connection of HTTP/2 as it is told, and says what comes of each.

import http2 from "node:http2";

const { BASE, ASKED, COUNT, BYTES, AUTHORIZATION } = process.env;
// In megabytes: what waits to be sent counts.
const connection = http2.connect(BASE, { maxSessionMemory: 100 });
const body = Buffer.from(JSON.stringify({ said: "x".repeat(Number(BYTES)) }));
const answers = Array.from({ length: Number(COUNT) }, () => {
    const request = connection.request({
        ":method": "POST",
        ":path": ASKED,
        authorization: AUTHORIZATION,
        "content-type": "application/json",
    });
    request.end(body);
    return new Promise((resolve, reject) => {
        let status, said = "";
        request.setEncoding("utf8");
        request.on("response", (fields) => (status = fields[":status"]));
        request.on("data", (part) => (said += part));
        request.on("end", () => resolve(`${status} ${said}`));
        request.on("error", reject);
    });
});
console.log((await Promise.all(answers)).join("\n"));
connection.close();
