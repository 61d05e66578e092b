// Opens a WebSocket at URL, says each of SAY, a JSON list, when the last was answered, and prints what it heard as a JSON list.
import { createRequire } from "node:module";

// A module's own imports are not looked up in NODE_PATH.
const { WebSocket } = createRequire(import.meta.url)("ws");
const { URL: url, SAY, AUTHORIZATION: authorization } = process.env;
const say = JSON.parse(SAY);
const heard = [];
const socket = new WebSocket(url, { headers: authorization ? { authorization } : {} });
const next = () => {
  if (say.length === 0) return socket.close(1000);
  const word = say.shift();
  socket.send(word.bytes ? Buffer.from(word.bytes) : word);
};
socket.on("message", (data, isBinary) => {
  heard.push(isBinary ? { bytes: [...data] } : data.toString());
  next();
});
socket.on("close", (code, reason) => {
  heard.push({ closed: code, reason: reason.toString() });
  console.log(JSON.stringify(heard));
});
socket.on("unexpected-response", (_, response) => {
  console.log(JSON.stringify([{ status: response.statusCode }]));
  process.exit();
});
socket.on("error", (error) => heard.push({ error: error.message }));
