// A target that speaks WebSockets: it tells what it hears, and more on request. It prints its port when it listens.
import { createRequire } from "node:module";
import { createServer } from "node:http";

// A module's own imports are not looked up in NODE_PATH.
const { WebSocketServer } = createRequire(import.meta.url)("ws");

let words = 0;
const server = createServer((_, response) => response.end("plain"));
const sockets = new WebSocketServer({ server, perMessageDeflate: true, verifyClient: ({ req }) => req.url !== "/refused" });
sockets.on("connection", (socket, request) => {
  const { authorization, "sec-websocket-extensions": extensions } = request.headers;
  socket.send(JSON.stringify({ opened: request.url, authorization, extensions }));
  socket.on("message", (data, isBinary) => {
    if (isBinary) return socket.send(data);
    const text = data.toString();
    if (text.startsWith("last word")) words += 1;
    if (text === "customer") socket.send(JSON.stringify({ id: 7, email: "ada@corp.example" }));
    else if (text === "count") socket.send(`count ${words}`);
    else if (text === "bytes") socket.send(Buffer.from([1, 2, 3]));
    else if (text === "flood") for (let count = 0; count < 2000; count += 1) socket.send("x".repeat(60000));
    else if (text === "bye") socket.close(4001, "write to ada@corp.example");
    else socket.send(`heard ${text}`);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
