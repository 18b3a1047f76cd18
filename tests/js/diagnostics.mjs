// node diagnostics.mjs CASES DIRECTORY: the page /diagnostics in a real Chromium, over good ways and broken ones.
// CASES is JSON, the address of the page for each name. Prints one JSON line per case, with what a reader
// sees of each step, and one per check; puts screenshots into DIRECTORY.

import { mkdirSync } from "node:fs";
import { launch, violations } from "./chromium.mjs";

const [argument, directory] = process.argv.slice(2);
const addresses = JSON.parse(argument);
const PATIENCE = 90_000;
const PLAIN = ["wrongHost", "noScheme", "mixedContent", "impatient", "deadService", "elsewhere", "twoPorts", "allowed"];

const print = (line) => console.log(JSON.stringify(line));

async function open(browser, name, prepare = () => {}, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  await prepare(page);
  await page.goto(addresses[name]);
  return page;
}

async function finish(page, name) {
  await page.locator("#copy:enabled").waitFor();
  const steps = await page.locator("#steps > li").evaluateAll((items) => items.map((item) => [
    item.id.replace("step-", ""),
    {
      verdict: item.dataset.verdict,
      seen: item.querySelector(".seen").textContent,
      causes: [...item.querySelectorAll(".cause")].map((cause) => cause.textContent),
    },
  ]));
  print({ case: name, steps: Object.fromEntries(steps) });
}

async function look(page, name) {
  await page.setViewportSize({ width: 1280, height: 900 });
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    print({ check: `accessible, ${name} ${colorScheme}`, found: await violations(page) });
    await page.screenshot({ path: `${directory}/diagnostics-${name}-${colorScheme}.png`, fullPage: true });
  }
  await page.setViewportSize({ width: 375, height: 812 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  print({ check: `nothing sticks out on a phone, ${name}`, found: wide > 0 ? [wide] : [] });
  await page.screenshot({ path: `${directory}/diagnostics-${name}-phone.png`, fullPage: true });
}

/** For the documentation: a part of the page that fits on a screen. */
async function portray(page, colorScheme, step) {
  await page.setViewportSize({ width: 960, height: 720 });
  await page.emulateMedia({ colorScheme });
  await page.locator(step).evaluate((element) => element.scrollIntoView());
  await page.screenshot({ path: `${directory}/diagnostics-${colorScheme}.png` });
}

async function good(browser) {
  const page = await open(browser, "good", undefined, { permissions: ["clipboard-read", "clipboard-write"] });
  await finish(page, "good");
  await portray(page, "light", "body");
  await page.locator("#copy").press("Enter");
  await page.locator("#copied", { hasText: "Copied" }).waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  print({ check: "the report is copied", found: copied.includes("12 steps: 12 passed.") ? [] : [copied] });
  await look(page, "good");
  print({ check: "the console stays silent", found: page.complaints });
}

async function noUpgrade(browser) {
  const page = await open(browser, "noUpgrade");
  await finish(page, "noUpgrade");
  await look(page, "broken");
  await portray(page, "dark", "#step-upgrade");
}

async function plain(browser, name) {
  await finish(await open(browser, name), name);
}

/** As the page of somebody who would rewrite the port for every socket. */
async function patched(browser) {
  const patch = (page) => page.addInitScript(() => {
    const Native = window.WebSocket;
    window.WebSocket = function WebSocket(url, protocols) {
      return new Native(url.replace(/:\d+/, ":1"), protocols);
    };
  });
  await finish(await open(browser, "patched", patch), "patched");
}

/** As where neither the CDN nor the clipboard can be had. */
async function withoutLibrary(browser) {
  const takeAway = async (page) => {
    await page.route("**/socket.io.min.js", (route) => route.abort());
    await page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  };
  const page = await open(browser, "withoutLibrary", takeAway);
  await finish(page, "withoutLibrary");
  await page.locator("#copy").click();
  const selected = await page.evaluate(() => document.getSelection().toString());
  print({ check: "the report can be had without the clipboard", found: selected.includes("12 steps") ? [] : [selected] });
  await page.locator("#again").click();
  await page.locator("#copy:enabled").waitFor();
  const said = await page.locator("#state").textContent();
  print({ check: "the steps can be run again", found: said.startsWith("12 steps") ? [] : [said] });
}

/** Without the pings that would end the last step, until its button does. */
async function impatientReader(browser) {
  const holdPings = (page) => page.routeWebSocket(/socket\.io/, (client) => {
    const server = client.connectToServer();
    server.onMessage((message) => {
      if (message !== "2") client.send(String(message).replace(/"ping_interval":[0-9.]+/, '"ping_interval":60'));
    });
  });
  const page = await open(browser, "skipped", holdPings);
  const skip = page.locator("#step-silence .skip-step");
  await skip.waitFor();
  await skip.press("Enter");
  await finish(page, "skipped");
  const focused = await page.evaluate(() => document.activeElement.textContent);
  print({ check: "the focus is not lost with the button", found: focused === "Proxy time-out" ? [] : [focused] });
}

mkdirSync(directory, { recursive: true });
const browser = await launch();
try {
  await good(browser);
  await Promise.all([
    noUpgrade(browser),
    patched(browser),
    impatientReader(browser),
    withoutLibrary(browser),
    ...PLAIN.map((name) => plain(browser, name)),
  ]);
} finally {
  await browser.close();
}
