// node watching.mjs URL CHANNEL COUNT: the official client, which watches a channel from its beginning. Prints
// the data of so many updates, a line each, bytes as {"bytes": "hexadecimal"}; then how often it has connected.

import { io } from "socket.io-client";

const [url, channel, count] = process.argv.slice(2);

const withoutBytes = (data) => {
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) {
    return { bytes: Buffer.from(data).toString("hex") };
  }
  if (Array.isArray(data)) {
    return data.map(withoutBytes);
  }
  return data && typeof data === "object"
    ? Object.fromEntries(Object.entries(data).map(([key, value]) => [key, withoutBytes(value)]))
    : data;
};

let left = Number(count);
let connections = 0;
const socket = io(url, { transports: ["websocket"], reconnectionDelay: 10 });
socket.on("connect", () => {
  connections += 1;
  socket.emit("subscribe", { channels: [channel], after: { [channel]: 0 } });
});
socket.on("update", ({ data }) => {
  console.log(JSON.stringify(withoutBytes(data)));
  left -= 1;
  if (left === 0) {
    console.log(connections);
    socket.disconnect();
  }
});
