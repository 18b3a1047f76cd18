// node ops.mjs URL TOKEN DIRECTORY: the operators' page in a real Chromium, as an operator uses it.
// Prints one JSON line per check and puts screenshots into DIRECTORY; exits 1 if a check failed.

import { mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { io } from "socket.io-client";

const [url, token, directory] = process.argv.slice(2);
const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const PATIENCE = 20_000;
const CLIENTS = 12;
const FLOOD = 5000;

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

let failed = false;
const complaints = [];

function check(name, ok, detail = "") {
  failed ||= !ok;
  console.log(JSON.stringify({ check: name, ok, detail }));
}

async function open(browser, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${url}/ops`);
  return page;
}

function hear(page) {
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
}

async function enter(page, given) {
  await page.fill("#token", given);
  await page.press("#token", "Enter");
}

const reads = (page, selector, text) => page.locator(selector, { hasText: text }).first().waitFor();
const lines = (page) => page.locator("#lines li");

async function violations(page) {
  await page.evaluate(axe);
  const report = await page.evaluate(() => window.axe.run());
  return report.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(" ")}`);
}

async function write(records, last) {
  const answer = await fetch(`${url}/log`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ records, last }),
  });
  return (await answer.json()).seconds;
}

/** People on the service, most of whom have measured their connection. */
async function populate() {
  const clients = Array.from({ length: CLIENTS }, () => io(url, { forceNew: true }));
  await Promise.all(clients.map((client) => new Promise((resolve) => { client.on("connect", resolve); })));
  for (const [number, client] of clients.entries()) {
    const figures = {
      state: number === 0 ? "degraded" : "connected",
      transport: "websocket",
      median_ms: 18 + 9 * number ** 1.6,
      p95_ms: 30 + 14 * number ** 1.6,
      jitter_ms: 4,
      loss: number === 0 ? 0.2 : 0,
    };
    await client.emitWithAck("heartbeat", { sent_at: 0, quality: figures });
    client.emit("enter", number % 3 ? "trades" : "auction 2041");
  }
  return clients;
}

/** An Admin UI, as the official client connects it: it is told of every process. */
async function administrate() {
  const admin = io(`${url}/admin`, { forceNew: true, auth: { username: "operator", password: token } });
  const processes = new Set();
  await new Promise((resolve, reject) => {
    setTimeout(reject, PATIENCE, new Error("no statistics of both processes"));
    admin.on("connect_error", reject);
    admin.on("server_stats", ({ pid }) => processes.add(pid).size === 2 && resolve());
  });
  admin.disconnect();
}

async function look(browser) {
  // The client closes its connection when it is refused, and Chromium complains if an upgrade was under way.
  const stranger = await open(browser, { colorScheme: "light" });
  await enter(stranger, "a-token-that-is-not-the-right-one-0123");
  await reads(stranger, "#problem", "not the operators’ token");
  check("a wrong token is refused and said", await stranger.locator("#desk").isHidden());
  const atTheDoor = await violations(stranger);
  check("nothing is in the way of assistive technology at the door", atTheDoor.length === 0, atTheDoor);
  await stranger.screenshot({ path: `${directory}/ops-entrance.png` });
  await enter(stranger, token);
  await stranger.locator("#processes tr").nth(1).waitFor();
  check("the right token is taken after a wrong one", true);
  await stranger.context().close();

  const page = await open(browser, { colorScheme: "light" });
  hear(page);
  const clients = await populate();
  await enter(page, token);
  await page.locator("#processes tr").nth(1).waitFor();
  check("the right token shows both processes", (await page.locator("#processes tr").count()) === 2);
  // The browser itself is one of the sessions.
  await reads(page, "[data-total=sessions] dd", `${CLIENTS + 1} of`);
  check("every session is counted", true);
  await reads(page, "#rooms", "auction 2041");
  await reads(page, "#queue-state", "Every process hears it");
  await reads(page, "#quality-note", `${CLIENTS + 1} clients measure their connection, 1 of them degraded`);
  check("rooms, queue and connections are shown", true);

  await write(0, "what an operator wants to see");
  await reads(page, "#lines .event", "what an operator wants to see");
  const details = await page.locator("#lines li", { hasText: "what an operator wants" }).locator(".details").textContent();
  check("a log record appears, with what is known of it", /order=7/.test(details) && /request_id=/.test(details), details);
  const passed = [...(await page.locator("#lines .event").allTextContents())];
  check("what the transport itself would log is not there", !passed.some((text) => /emitting|Sending packet/.test(text)));

  await page.click("#log-pause");
  await write(3, "while it pauses");
  await reads(page, "#log-note", "Paused: ");
  check("a paused log stands still", (await page.locator("#lines", { hasText: "while it pauses" }).count()) === 0);
  await page.click("#log-pause");
  await reads(page, "#lines .event", "while it pauses");
  await page.selectOption("#log-level", "warning");
  check("the level filters", !(await lines(page).allTextContents()).some((text) => text.includes("order placed")));
  await page.fill("#log-filter", "pauses");
  check("a text filters", (await lines(page).count()) === 1, await lines(page).count());
  await page.fill("#log-filter", "");
  await page.selectOption("#log-level", "debug");

  const seconds = await write(FLOOD, "after the flood");
  await reads(page, "#lines .event", "after the flood");
  await reads(page, "#log-note", "records were left out");
  check("a flood is bounded, counted, and hides no warning", true, `${FLOOD} records in ${seconds.toFixed(2)} s`);

  await administrate();
  check("an Admin UI is told of both processes", true);

  // Curves need some history to be looked at.
  const chatter = setInterval(() => {
    for (const client of clients) {
      if (Math.random() < 0.6) client.emit("heartbeat", { sent_at: 0 });
    }
  }, 100);
  const dark = await open(browser, { colorScheme: "dark" });
  hear(dark);
  await enter(dark, token);
  await dark.locator("#processes tr").nth(1).waitFor();
  await write(3, "for the second operator too");
  await reads(dark, "#lines .event", "for the second operator too");
  check("a second operator sees the same", true);
  await page.waitForFunction(() => (document.querySelector("[data-total=handled] path").getAttribute("d") ?? "").split("L").length > 4);
  await page.click("#log-clear");
  await write(4, "an order could not be shipped");
  await reads(page, "#lines .event", "an order could not be shipped");
  await fetch(`${url}/fail`, { method: "POST" });
  await reads(page, "#lines pre", "LookupError: no such order");
  check("a traceback comes along", true);

  for (const [each, name] of [[page, "light"], [dark, "dark"]]) {
    await each.click("#worst-details summary");
    const found = await violations(each);
    check(`nothing is in the way of assistive technology (${name})`, found.length === 0, found);
    await each.screenshot({ path: `${directory}/ops-${name}.png`, fullPage: true });
    await each.setViewportSize({ width: 375, height: 812 });
    const fits = await each.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    check(`nothing sticks out on a phone (${name})`, fits);
    await each.screenshot({ path: `${directory}/ops-phone-${name}.png`, fullPage: true });
  }
  clearInterval(chatter);

  await page.setViewportSize({ width: 1280, height: 900 });
  await page.locator("#leave").focus();
  await page.keyboard.press("Enter");
  await page.locator("#token").waitFor();
  check("who leaves takes everything along", (await page.locator("#processes tr").count()) === 0 && (await lines(page).count()) === 0);
  for (const client of clients) client.disconnect();
  check("the console stays silent", complaints.length === 0, complaints);
}

mkdirSync(directory, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
try {
  await look(browser);
} catch (error) {
  check("no step is left waiting", false, String(error));
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);
