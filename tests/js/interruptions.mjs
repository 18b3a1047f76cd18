// node interruptions.mjs URL DIRECTORY: two windows of the live board through everything that interrupts them. One is
// interrupted, the other one publishes meanwhile; in the end both have seen the same. A screenshot goes into
// DIRECTORY.

import { connected, entries, notice, processOf, publish, reconnects, says, shows, submit, subscribed } from "./board.mjs";
import { ask, check, complainedOfItself, open, withBrowser } from "./browser.mjs";

const [url, directory] = process.argv.slice(2);
const REFRESHES = 10;

async function isBack(page, missed) {
  await connected(page);
  await shows(page, missed);
}

/** F5, again and again; each one is a new visitor, who sees what comes from then on. */
async function refreshes(page, other) {
  for (let refresh = 1; refresh <= REFRESHES; refresh += 1) {
    await page.reload();
    await connected(page);
    await subscribed(page);
    await publish(other, `after refresh ${refresh}`);
    await shows(page, `after refresh ${refresh}`);
  }
  check("refreshed ten times, it is there each time", true);
}

async function backAndForward(page, other) {
  await page.evaluate(() => addEventListener("pageshow", (event) => { window.restored = event.persisted; }));
  for (const visit of ["first", "second"]) {
    await page.goto("about:blank");
    await publish(other, `during the ${visit} visit elsewhere`);
    // A page that is restored does not load.
    await page.goBack({ waitUntil: "commit" });
    await isBack(page, `during the ${visit} visit elsewhere`);
  }
  check("it is restored from the back-forward cache", await page.evaluate(() => window.restored));
  check("and has connected again each time", await reconnects(page) === 2, await reconnects(page));
}

/** A headless Chromium takes every tab for visible, so it is told; the standstill is real. */
async function hiddenAndShown(page, other) {
  const becomes = (state) => page.evaluate((wanted) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => wanted });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
  const devtools = await page.context().newCDPSession(page);
  await becomes("hidden");
  await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
  await publish(other, "while nobody looked");
  await devtools.send("Page.setWebLifecycleState", { state: "active" });
  await becomes("visible");
  await isBack(page, "while nobody looked");
  check("hidden, frozen and shown again, it has missed nothing", true);
}

async function networkCut(page, other) {
  await page.context().setOffline(true);
  await says(page, "Offline");
  check("without a network it says so", (await notice(page)).startsWith("This device is offline."), await notice(page));
  await submit(page, "not sent");
  await page.locator("#publish-problem", { hasText: "nothing was sent" }).waitFor();
  await publish(other, "during the cut");
  await page.context().setOffline(false);
  await isBack(page, "during the cut");
  const left = await notice(page) + await page.textContent("#publish-problem");
  check("with the network it is back, and the notices are gone", left === "", left);
}

async function processKilled(page, other) {
  const before = await processOf(page);
  const counted = await reconnects(page);
  await ask({ kill: before });
  await page.waitForFunction((count) => Number(document.getElementById("reconnects").textContent) > count, counted);
  await connected(page);
  check("its process killed, another one serves it", await processOf(page) !== before);
  await connected(other);
  await publish(other, "after the kill");
  await shows(page, "after the kill");
}

async function serviceRestarted(page, other) {
  await ask({ stop: true });
  for (const one of [page, other]) await says(one, "Reconnecting");
  check("without the service it says so", /Trying again\.$/.test(await notice(page)), await notice(page));
  await page.screenshot({ path: `${directory}/board-reconnecting.png` });
  await ask({ start: true });
  for (const one of [page, other]) await connected(one);
  await publish(page, "after the restart");
  await isBack(other, "after the restart");
  check("the service restarted, both are back", true);
}

async function go(browser) {
  const page = await open(browser, url);
  const other = await open(browser, url);
  for (const one of [page, other]) {
    await connected(one);
    await subscribed(one);
  }
  for (const interrupt of [refreshes, backAndForward, hiddenAndShown, networkCut, processKilled, serviceRestarted]) {
    await interrupt(page, other);
  }
  const [seen, seenByOther] = [await entries(page), await entries(other)];
  const inOrder = seenByOther.map((_, index) => index + 1);
  check("one window has seen every update, once and in order", `${seenByOther}` === `${inOrder}`, seenByOther);
  check("the other one too, since it was last refreshed", `${seen}` === `${inOrder.slice(-seen.length)}`, seen);
  check("the console has nothing to say of the page", complainedOfItself().length === 0, complainedOfItself());
}

await withBrowser(go, directory);
