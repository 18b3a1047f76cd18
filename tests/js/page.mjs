// node page.mjs URL DIRECTORY: two windows of the live board in a real Chromium, light and dark, desk and
// phone, keyboard only. Screenshots go into DIRECTORY.

import { connected, publish, shows, subscribe, subscribed } from "./board.mjs";
import { check, complained, open, sticksOut, violations, withBrowser } from "./browser.mjs";

const [url, directory] = process.argv.slice(2);

const TALK = [
  ["lobby", "Deploy 2026.47 is out, all workers are back."],
  ["alerts", { host: "web-3", load: 0.82, ok: true }],
  ["orders", { order: 10448, items: 3, total: "84.90 EUR" }],
  ["lobby", "Coffee is ready."],
  ["orders", "10447 has left the house"],
  ["alerts", "Latency is back to normal in eu-west."],
];

// What the keyboard reaches from the top of the page, in this order.
const STOPS = [
  "Skip to the board", "publish-channel", "publish-message", "Publish", "subscribe-channel", "Subscribe", "Unsubscribe",
];

async function byKeyboard(page) {
  const reached = [];
  for (const _ of STOPS) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent));
  }
  return reached;
}

async function look(browser) {
  const light = await open(browser, url, { colorScheme: "light" });
  const dark = await open(browser, url, { colorScheme: "dark" });
  for (const page of [light, dark]) {
    await connected(page);
    await subscribed(page);
  }
  check("the board connects and upgrades to a WebSocket", true);

  const reached = await byKeyboard(light);
  check("the keyboard reaches everything in order", `${reached}` === `${STOPS}`, reached);

  await publish(light, "from the light window");
  await shows(dark, "from the light window");
  await publish(dark, "from the dark window");
  await shows(light, "from the dark window");
  check("two windows show each other's updates", true);

  for (const page of [light, dark]) {
    for (const channel of ["alerts", "orders"]) await subscribe(page, channel);
  }
  for (const [channel, data] of TALK) {
    await light.request.post(`${url}/api/channels/${channel}`, {
      data: JSON.stringify(data), headers: { "Content-Type": "application/json" },
    });
  }
  for (const page of [light, dark]) {
    await shows(page, "Latency is back");
    // The first heartbeats are a second apart; the figures are of some of them then.
    await page.waitForFunction(() => document.querySelectorAll("#pulse rect").length >= 5);
    await page.evaluate(() => document.activeElement.blur());
    // The accent of a new update fades, and while it does its contrast is of no interest.
    await page.emulateMedia({ reducedMotion: "reduce" });
  }

  for (const [page, name] of [[light, "light"], [dark, "dark"]]) {
    const found = await violations(page);
    check(`nothing is in the way of assistive technology (${name})`, found.length === 0, found);
    await page.screenshot({ path: `${directory}/board-${name}.png`, fullPage: true });
    await page.setViewportSize({ width: 375, height: 812 });
    check(`nothing sticks out on a phone (${name})`, !await sticksOut(page));
    const foundOnPhone = await violations(page);
    check(`nor on a phone (${name})`, foundOnPhone.length === 0, foundOnPhone);
    await page.screenshot({ path: `${directory}/board-phone-${name}.png`, fullPage: true });
  }
  check("the console stays silent", complained().length === 0, complained());
}

await withBrowser(look, directory);
