// Says COUNT long words on a WebSocket at URL before it takes any answer, and prints how many answers it heard then.
import { createRequire } from "node:module";

// A module's own imports are not looked up in NODE_PATH.
const { WebSocket } = createRequire(import.meta.url)("ws");
const { URL: url, COUNT: count, AUTHORIZATION: authorization } = process.env;
const socket = new WebSocket(url, { headers: authorization ? { authorization } : {}, perMessageDeflate: false });
let heard = 0;
socket.on("message", (data) => {
  if (data.toString().startsWith("heard ")) heard += 1;
  if (heard === Number(count)) socket.close(1000);
});
socket.on("open", () => {
  socket.pause();
  let left = Number(count);
  const said = () => {
    left -= 1;
    if (left === 0) socket.resume();
  };
  for (let word = 0; word < Number(count); word += 1) socket.send(`${word} `.padEnd(32_000, "talk "), said);
});
socket.on("error", (error) => console.log(error.message));
socket.on("close", () => console.log(heard));
