// node msgpack.mjs URL: the official client with socket.io-msgpack-parser, over each transport.
// Prints what the events of ../echoing.py answer, one JSON array for each transport.

import { io } from "socket.io-client";
import parser from "socket.io-msgpack-parser";

const [url] = process.argv.slice(2);
const SENT = ["text é", 1.5, null, { nested: [true, Uint8Array.of(0, 255)] }];

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  const socket = io(url, { transports, parser, forceNew: true, auth: { token: "123" } });
  const auth = await new Promise((resolve) => socket.once("auth", resolve));
  const echoed = new Promise((resolve) => socket.once("message-back", (...back) => resolve(back)));
  socket.emit("message", ...SENT);
  const acknowledged = await new Promise((resolve) => {
    socket.emit("message-with-ack", ...SENT, (...back) => resolve(back));
  });
  console.log(JSON.stringify([auth, await echoed, acknowledged]));
  socket.disconnect();
}
