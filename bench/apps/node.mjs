// The same events in Node's own Socket.IO server, with its default options.

import { createRequire } from "node:module";
import { createServer } from "node:http";

const require = createRequire(new URL("../../tests/js/package.json", import.meta.url));
const { Server } = require("socket.io");

const ROOM = "everyone";

const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.join(ROOM);
  socket.emit("welcome", { session_id: socket.id });
  socket.on("announce", (text) => io.to(ROOM).emit("announcement", { text, at: Date.now() / 1000 }));
  socket.on("echo", (data, acknowledge) => acknowledge(data));
});

http.listen(Number(process.env.PORT), "127.0.0.1");
