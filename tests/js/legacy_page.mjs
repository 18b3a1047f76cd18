// node legacy_page.mjs JOB: two tabs of an old app's page in a real Chromium; one is refreshed again
// and again while the other stays. JOB is JSON: url, refreshes, settled (an expression that becomes
// true before each refresh), shows (one that becomes true in the tab that stays) and rules (host
// names and ports that lead elsewhere, if any do).
// Prints what went wrong in the pages as one JSON object; exits 1 if the expression never was true.

import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { FLAGS, PATIENCE } from "./browser.mjs";

const { url, refreshes, settled, shows, rules } = JSON.parse(process.argv[2]);
const CLIENT = fileURLToPath(import.meta.resolve("socket.io-client/dist/socket.io.js"));

const seen = { shown: false, text: "", errors: [], console: [], refused: [] };

async function open(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("response", (response) => {
    if (response.status() >= 500) seen.refused.push(`${response.status()} ${response.url()}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error") seen.console.push(message.text());
  });
  await page.goto(url);
  return page;
}

const args = rules ? [...FLAGS, `--host-resolver-rules=${rules}`] : FLAGS;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args });
try {
  const context = await browser.newContext();
  // What the pages load from Socket.IO's own network.
  await context.route("https://cdn.socket.io/**", (route) => route.fulfill({ path: CLIENT }));
  const watcher = await open(context);
  const visitor = await open(context);
  for (let refresh = 0; refresh < refreshes; refresh += 1) {
    await visitor.waitForFunction(settled);
    await visitor.reload();
  }
  await visitor.close();
  await watcher.waitForFunction(shows).then(
    () => (seen.shown = true),
    () => (process.exitCode = 1),
  );
  // biome-ignore lint/performance/useDomNodeTextContent: what a visitor sees, without scripts and what is hidden
  seen.text = await watcher.innerText("body");
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
