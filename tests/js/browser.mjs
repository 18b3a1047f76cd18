// A Chromium that runs anywhere and asks nobody outside for anything.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

// Without these, Chromium looks for its maker's hosts; as root it refuses to run in a sandbox.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const CLIENT = readFileSync(
  fileURLToPath(import.meta.resolve("socket.io-client/dist/socket.io.js")),
  "utf8",
);

// flags: what Chromium is told besides.
export function launch(flags = []) {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: [...FLAGS, ...flags] });
}

// Answers what the pages of a context load from Socket.IO's own network.
export function serveClient(context) {
  return context.route("https://cdn.socket.io/**", (route) =>
    route.fulfill({ contentType: "text/javascript", body: CLIENT }),
  );
}
