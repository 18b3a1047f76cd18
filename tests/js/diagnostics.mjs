// node diagnostics.mjs ADDRESSES DIRECTORY: the page /diagnostics over good ways to a service and broken ones.
// ADDRESSES is JSON, the address of the page for each case. Screenshots go into DIRECTORY.

import { check, PATIENCE, sticksOut, violations, withBrowser } from "./browser.mjs";

const [argument, directory] = process.argv.slice(2);
const addresses = JSON.parse(argument);

const all = (names, cause) => Object.fromEntries(names.map((name) => [name, cause]));

/** The steps that fail in each case, and how the likeliest cause of each begins. */
const FAILURES = {
  good: {},
  allowed: {},
  withoutLibrary: {},
  noUpgrade: all(["upgrade", "websocket"], "Missing upgrade headers"),
  wrongHost: all(["request", "polling", "websocket"], "Wrong origin"),
  noScheme: all(["request", "polling", "websocket"], "Wrong origin"),
  mixedContent: { origin: "Mixed content" },
  twoPorts: all(["polling", "websocket"], "Two ports"),
  elsewhere: all(["polling", "websocket"], "The proxy does not hand requests for sessions"),
  deadService: all(["health", "polling", "websocket"], "The proxy does not reach the service"),
  patched: all(["constants", "upgrade", "websocket"], "A script or a browser extension"),
  impatient: { silence: "The proxy’s time-out for silent connections is shorter" },
  // The pings are held back by another class in the place of the browser's.
  skipped: { constants: "A script or a browser extension" },
};

async function visit(browser, name, prepare = () => {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    ignoreHTTPSErrors: true,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.complaints = [];
  await prepare(page);
  await page.goto(addresses[name]);
  return page;
}

/** Wait for the outcome, compare what fails with what has to, and return what a reader sees of each step. */
async function outcome(page, name) {
  await page.locator("#copy:enabled").waitFor();
  const steps = Object.fromEntries(await page.locator("#steps > li").evaluateAll((items) => items.map((item) => [
    item.id.replace("step-", ""),
    {
      verdict: item.dataset.verdict,
      seen: item.querySelector(".seen").textContent,
      cause: item.querySelector(".cause")?.textContent ?? "",
    },
  ])));
  const expected = FAILURES[name];
  const failed = withVerdict(steps, "failed");
  check(`${name}: these steps fail and no other`, `${failed.sort()}` === `${Object.keys(expected).sort()}`, steps);
  for (const [step, cause] of Object.entries(expected)) {
    check(`${name}: ${step} names its cause`, steps[step].cause.startsWith(cause), steps[step]);
  }
  return steps;
}

const withVerdict = (steps, verdict) => Object.keys(steps).filter((name) => steps[name].verdict === verdict);

/** For the eye: light and dark, desk and phone. */
async function look(page, name) {
  await page.setViewportSize({ width: 1280, height: 900 });
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const found = await violations(page);
    check(`${name}: nothing is in the way of assistive technology (${colorScheme})`, found.length === 0, found);
    await page.screenshot({ path: `${directory}/diagnostics-${name}-${colorScheme}.png`, fullPage: true });
  }
  await page.setViewportSize({ width: 375, height: 812 });
  check(`${name}: nothing sticks out on a phone`, !await sticksOut(page));
  await page.screenshot({ path: `${directory}/diagnostics-${name}-phone.png`, fullPage: true });
}

/** For the documentation: a part of the page that fits on a screen. */
async function portray(page, colorScheme, from) {
  await page.setViewportSize({ width: 960, height: 720 });
  await page.emulateMedia({ colorScheme });
  await page.locator(from).evaluate((element) => element.scrollIntoView());
  await page.screenshot({ path: `${directory}/diagnostics-${colorScheme}.png` });
}

async function good(browser) {
  const page = await visit(browser, "good");
  const steps = await outcome(page, "good");
  check("good: every step passes", withVerdict(steps, "passed").length === 12, steps);
  check("good: two processes are named", steps.processes.seen.match(/web-1\.\d+\.\d+/g)?.length === 2, steps.processes);
  await portray(page, "light", "body");
  await page.locator("#copy").press("Enter");
  await page.locator("#copied", { hasText: "Copied" }).waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  check("good: the report is copied", copied.includes("12 steps: 12 passed."), copied);
  await look(page, "good");
  check("good: the console stays silent", page.complaints.length === 0, page.complaints);
}

async function noUpgrade(browser) {
  const page = await visit(browser, "noUpgrade");
  const steps = await outcome(page, "noUpgrade");
  check("noUpgrade: the other steps use polling", steps.roundTrip.seen.includes("over polling"), steps.roundTrip);
  await look(page, "broken");
  await portray(page, "dark", "#step-upgrade");
}

/** The page of another origin, which the service allows. */
async function allowed(browser) {
  const steps = await outcome(await visit(browser, "allowed"), "allowed");
  check("allowed: what cannot be read is said", `${withVerdict(steps, "unknown")}` === "health,request", steps);
}

/** The page of somebody who would rewrite the port for every socket. */
async function patched(browser) {
  const page = await visit(browser, "patched", (opened) => opened.addInitScript(() => {
    const Native = window.WebSocket;
    window.WebSocket = function WebSocket(url, protocols) {
      return new Native(url.replace(/:\d+/, ":1"), protocols);
    };
  }));
  const { constants } = await outcome(page, "patched");
  check("patched: the constants are named", constants.seen.includes("OPEN is undefined instead of 1"), constants);
}

/** The page of somebody who has neither the CDN nor a clipboard. */
async function withoutLibrary(browser) {
  const page = await visit(browser, "withoutLibrary", async (opened) => {
    await opened.route("**/socket.io.min.js", (route) => route.abort());
    await opened.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  });
  const steps = await outcome(page, "withoutLibrary");
  check("withoutLibrary: what needs none is tried", withVerdict(steps, "passed").length === 5, steps);
  check("withoutLibrary: the rest is skipped", withVerdict(steps, "skipped").length === 7, steps);
  await page.locator("#copy").click();
  const selected = await page.evaluate(() => document.getSelection().toString());
  check("withoutLibrary: the report can be had all the same", selected.includes("12 steps"), selected);
  await page.locator("#again").click();
  await page.locator("#copy:enabled").waitFor();
  const said = await page.locator("#state").textContent();
  check("withoutLibrary: the steps can be run again", said.startsWith("12 steps"), said);
}

/** The page of somebody who does not wait; the ping that would end the last step is held back. */
async function skipped(browser) {
  const page = await visit(browser, "skipped", (opened) => opened.routeWebSocket(/socket\.io/, (client) => {
    const server = client.connectToServer();
    server.onMessage((message) => {
      if (message !== "2") client.send(String(message).replace(/"ping_interval":[0-9.]+/, '"ping_interval":60'));
    });
  }));
  const skip = page.locator("#step-silence .skip-step");
  await skip.waitFor();
  await skip.press("Enter");
  const steps = await outcome(page, "skipped");
  check("skipped: the wait is", `${withVerdict(steps, "skipped")}` === "silence", steps);
  const focused = await page.evaluate(() => document.activeElement.textContent);
  check("skipped: the focus is not lost with the button", focused === "Proxy time-out", focused);
}

const OTHERS = ["wrongHost", "noScheme", "mixedContent", "twoPorts", "elsewhere", "deadService", "impatient"];

await withBrowser(async (browser) => {
  await good(browser);
  await Promise.all([
    ...[noUpgrade, allowed, patched, withoutLibrary, skipped].map((test) => test(browser)),
    ...OTHERS.map(async (name) => outcome(await visit(browser, name), name)),
  ]);
}, directory);
