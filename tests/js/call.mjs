// Opens a session, emits one event, prints the transport and the acknowledgement, and leaves.
// node call.mjs <url> <transports, as JSON> <event> <data, as JSON>

import { io } from "socket.io-client";

const [url, transports, event, data] = process.argv.slice(2);
const socket = io(url, { transports: JSON.parse(transports), reconnection: false });

function fail(error) {
  console.error(error);
  process.exit(1);
}

async function settled(engine) {
  if (engine.upgrading || engine.transport.name !== JSON.parse(transports).at(-1)) {
    await new Promise((resolve) => engine.once("upgrade", resolve));
  }
}

socket.on("connect_error", fail);
socket.on("connect", async () => {
  await settled(socket.io.engine);
  const answer = await socket.timeout(120_000).emitWithAck(event, JSON.parse(data)).catch(fail);
  console.log(JSON.stringify({ transport: socket.io.engine.transport.name, answer }));
  socket.close();
});
