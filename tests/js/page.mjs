// node page.mjs URL DIRECTORY: two windows of the live board in a real Chromium, as people use them.
// Prints one JSON line per check and puts screenshots into DIRECTORY; exits 1 if a check failed.

import { mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [url, directory] = process.argv.slice(2);
const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const PATIENCE = 15_000;
const REFRESHES = 5;

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
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  return page;
}

async function connected(page) {
  await page.waitForFunction(() => document.getElementById("state").textContent === "Connected");
  await page.waitForFunction(() => document.getElementById("transport").textContent === "websocket");
}

async function publish(page, message) {
  await page.fill("#publish-channel", "lobby");
  await page.fill("#publish-message", message);
  await page.press("#publish-message", "Enter");
}

const shows = (page, message) => page.locator("#channels li", { hasText: message }).waitFor();

async function violations(page) {
  // The page's Content-Security-Policy may forbid further scripts; evaluating is not one.
  await page.evaluate(axe);
  const report = await page.evaluate(() => window.axe.run());
  return report.violations.map((violation) => violation.id);
}

async function look(browser) {
  const light = await open(browser, { colorScheme: "light" });
  const dark = await open(browser, { colorScheme: "dark" });
  for (const page of [light, dark]) await connected(page);
  check("the board connects and upgrades to a WebSocket", true);

  await publish(light, "from the light window");
  await shows(dark, "from the light window");
  await publish(dark, "from the dark window");
  await shows(light, "from the dark window");
  check("two windows show each other's updates", true);

  for (let refresh = 0; refresh < REFRESHES; refresh += 1) {
    await light.reload();
    await connected(light);
  }
  await publish(dark, "after the refreshes");
  await shows(light, "after the refreshes");
  check("a refreshed window is back", true);

  // The accent of a new update fades within three seconds; its contrast is not meant to last.
  await light.waitForTimeout(3500);
  for (const [page, name] of [[light, "light"], [dark, "dark"]]) {
    const found = await violations(page);
    check(`nothing is in the way of assistive technology (${name})`, found.length === 0, found);
    await page.screenshot({ path: `${directory}/board-${name}.png`, fullPage: true });
    await page.setViewportSize({ width: 375, height: 812 });
    const fits = await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    check(`nothing sticks out on a phone (${name})`, fits);
    await page.screenshot({ path: `${directory}/board-phone-${name}.png`, fullPage: true });
  }
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
process.exitCode = failed ? 1 : 0;
