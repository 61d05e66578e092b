// Opens a WebSocket at URL, through a tunnel of PROXY if there is one, says each of SAY, a JSON list, when the last was answered, and
// prints what it heard as a JSON list.
import { once } from "node:events";
import { request } from "node:http";
import { createRequire } from "node:module";

// A module's own imports are not looked up in NODE_PATH.
const { WebSocket } = createRequire(import.meta.url)("ws");
const { URL: url, SAY, PROXY, AUTHORIZATION: authorization } = process.env;
const say = JSON.parse(SAY);
const heard = [];
async function tunnel() {
  const asked = { method: "CONNECT", path: `${new URL(url).hostname}:80`, headers: { "proxy-authorization": authorization } };
  const [, stream] = await once(request(PROXY, asked).end(), "connect");
  return { createConnection: () => stream };
}

const options = PROXY ? await tunnel() : { headers: authorization ? { authorization } : {} };
const socket = new WebSocket(url, options);
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
