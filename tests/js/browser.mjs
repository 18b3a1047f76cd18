// A real Chromium for tests of pages: what a test prints as JSON, a line each, is read by tests/chromium.py.

import { mkdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const PATIENCE = 120_000;

// Without these, Chromium looks for its maker's hosts; as root it refuses to run in a sandbox.
export const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// What Chromium itself writes while the network or a service is away, or a service is about to leave.
const OUTAGE = /^Failed to load resource: (net::ERR_|.* status of 503)|^WebSocket connection to '.*' failed: /;

const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const complaints = [];
let failed = false;

/** Note whether something is as it should be; the test goes on either way. */
export function check(name, ok, detail = "") {
  failed ||= !ok;
  console.log(JSON.stringify({ check: name, ok, detail }));
}

/** Have the test outside do something, and wait until it is done. */
export async function ask(what) {
  console.log(JSON.stringify({ ask: what }));
  const lines = createInterface({ input: process.stdin });
  await new Promise((resolve) => { lines.once("line", resolve); });
  lines.close();
}

/** Open a page in a window of its own, which shares nothing with the others. */
export async function open(browser, url, options) {
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

/** What the consoles of all pages complained of. */
export function complained() {
  return complaints;
}

/** The same without what Chromium says of a service or a network that is away. */
export function complainedOfItself() {
  return complaints.filter((text) => !OUTAGE.test(text));
}

/** What is in the way of assistive technology. */
export async function violations(page) {
  // The page's Content-Security-Policy may forbid further scripts; evaluating is not one.
  await page.evaluate(axe);
  const report = await page.evaluate(() => window.axe.run());
  return report.violations.map((violation) => violation.id);
}

export async function sticksOut(page) {
  return page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
}

/** Run a test with a browser; what it throws is a failure. */
export async function withBrowser(test, directory) {
  if (directory) mkdirSync(directory, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: FLAGS,
    // Playwright switches off what the pages are to be tested with.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
  });
  try {
    await test(browser);
  } catch (error) {
    check("no step is left waiting", false, String(error));
  } finally {
    await browser.close();
  }
  process.exitCode = failed ? 1 : 0;
}
