// node ops.mjs URL TOKEN DIRECTORY: the operators' page in a real Chromium, as an operator uses it.
// Screenshots go into DIRECTORY.

import { io } from "socket.io-client";
import { check, complained, open, PATIENCE, sticksOut, violations, withBrowser } from "./browser.mjs";

const [url, token, directory] = process.argv.slice(2);
const page = `${url}/ops`;
const CLIENTS = 12;
const FLOOD = 5000;

/** A window at the door: nobody hears its console, see below. */
async function openUnheard(browser) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const window = await context.newPage();
  await window.goto(page);
  return window;
}

async function enter(window, given) {
  await window.fill("#token", given);
  await window.press("#token", "Enter");
}

const reads = (window, selector, text) => window.locator(selector, { hasText: text }).first().waitFor();
const lines = (window) => window.locator("#lines li");

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
  try {
    await new Promise((resolve, reject) => {
      setTimeout(reject, PATIENCE, new Error("no statistics of both processes")).unref();
      admin.on("connect_error", reject);
      admin.on("server_stats", ({ pid }) => processes.add(pid).size === 2 && resolve());
    });
  } finally {
    admin.disconnect();
  }
  check("an Admin UI is told of both processes", true);
}

async function knock(browser) {
  // The client closes its connection when it is refused; if an upgrade was under way, Chromium complains.
  const stranger = await openUnheard(browser);
  await enter(stranger, "a-token-that-is-not-the-right-one-0123");
  await reads(stranger, "#problem", "not the operators’ token");
  check("a wrong token is refused and said", await stranger.locator("#desk").isHidden());
  const found = await violations(stranger);
  check("nothing is in the way of assistive technology at the door", found.length === 0, found);
  await stranger.screenshot({ path: `${directory}/ops-entrance.png` });
  await enter(stranger, token);
  await stranger.locator("#processes tr").nth(1).waitFor();
  check("the right token is taken after a wrong one", true);
  await stranger.context().close();
}

async function readFigures(window) {
  await window.locator("#processes tr").nth(1).waitFor();
  check("the right token shows both processes", (await window.locator("#processes tr").count()) === 2);
  // The operator is a client, too.
  await reads(window, "[data-total=sessions] dd", `${CLIENTS + 1} of`);
  check("every session is counted", true);
  await reads(window, "#rooms", "auction 2041");
  await reads(window, "#queue-state", "Every process hears it");
  await reads(window, "#quality-note", `${CLIENTS + 1} clients measure their connection, 1 of them degraded`);
  check("rooms, queue and connections are shown", true);
}

async function readLog(window) {
  await write(0, "what an operator wants to see");
  await reads(window, "#lines .event", "what an operator wants to see");
  const details = await window.locator("#lines li", { hasText: "what an operator wants" }).locator(".details").textContent();
  check("a log record appears, with what is known of it", /order=7/.test(details) && /request_id=/.test(details), details);

  await window.click("#log-pause");
  await write(3, "while it pauses");
  await reads(window, "#log-note", /Paused, [1-9]/);
  await window.fill("#log-filter", "an operator wants");
  check("a paused log stands still, and is filtered all the same", (await lines(window).count()) === 1);
  await window.fill("#log-filter", "");
  check("nothing new is in it", (await window.locator("#lines", { hasText: "while it pauses" }).count()) === 0);
  await window.click("#log-pause");
  await reads(window, "#lines .event", "while it pauses");
  await window.selectOption("#log-level", "warning");
  check("the level filters", !(await lines(window).allTextContents()).some((text) => text.includes("order placed")));
  await window.fill("#log-filter", "pauses");
  check("a text filters", (await lines(window).count()) === 1, await lines(window).count());
  await window.fill("#log-filter", "");
  await window.selectOption("#log-level", "debug");

  const seconds = await write(FLOOD, "after the flood");
  await reads(window, "#lines .event", "after the flood");
  await reads(window, "#log-note", "records were left out");
  check("a flood is bounded, counted, and hides no warning", true, `${FLOOD} records in ${seconds.toFixed(2)} s`);

  await window.click("#log-clear");
  await write(4, "an order could not be shipped");
  await reads(window, "#lines .event", "an order could not be shipped");
  await fetch(`${url}/fail`, { method: "POST" });
  await reads(window, "#lines pre", "LookupError: no such order");
  check("a traceback comes along", true);
}

async function inspect(window, name) {
  await window.click("#worst-details summary");
  const found = await violations(window);
  check(`nothing is in the way of assistive technology (${name})`, found.length === 0, found);
  await window.screenshot({ path: `${directory}/ops-${name}.png`, fullPage: true });
  await window.setViewportSize({ width: 375, height: 812 });
  check(`nothing sticks out on a phone (${name})`, !(await sticksOut(window)));
  await window.screenshot({ path: `${directory}/ops-phone-${name}.png`, fullPage: true });
}

async function leave(window) {
  await window.locator("#leave").focus();
  await window.keyboard.press("Enter");
  await window.locator("#token").waitFor();
  const left = await window.locator("#processes tr, #lines li").count();
  check("who leaves takes everything along", left === 0, left);
}

async function watch(browser) {
  const light = await open(browser, page, { colorScheme: "light" });
  await enter(light, token);
  await readFigures(light);

  const dark = await open(browser, page, { colorScheme: "dark" });
  await enter(dark, token);
  await dark.locator("#processes tr").nth(1).waitFor();
  await readLog(light);
  await reads(dark, "#lines .event", "an order could not be shipped");
  check("a second operator sees the same", true);

  await inspect(light, "light");
  await inspect(dark, "dark");
  await leave(light);
  check("the console stays silent", complained().length === 0, complained());
}

await withBrowser(async (browser) => {
  await knock(browser);
  await administrate();
  const clients = await populate();
  // Curves need something to draw.
  const chatter = setInterval(() => {
    for (const client of clients) {
      if (Math.random() < 0.6) client.emit("heartbeat", { sent_at: 0 });
    }
  }, 100);
  try {
    await watch(browser);
  } finally {
    clearInterval(chatter);
    for (const client of clients) client.disconnect();
  }
}, directory);
