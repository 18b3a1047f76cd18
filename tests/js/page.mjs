// node page.mjs URL DIRECTORY: two windows of the live board in a real Chromium, light and dark, desk and
// phone, keyboard only. Screenshots go into DIRECTORY.

import { connected, publish, shows, subscribed } from "./board.mjs";
import { check, complained, open, sticksOut, violations, withBrowser } from "./browser.mjs";

const [url, directory] = process.argv.slice(2);

const TALK = [
  ["lobby", "Deploy 2026.47 is out, all workers are back."],
  ["alerts", { host: "web-3", load: 0.82, ok: true }],
  ["lobby", "Coffee is ready."],
  ["alerts", "Latency above 250 ms in eu-west"],
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
    await page.fill("#subscribe-channel", "alerts");
    await page.press("#subscribe-channel", "Enter");
    await page.locator("#channels h3", { hasText: "alerts" }).waitFor();
  }
  for (const [channel, data] of TALK) {
    const answer = await light.request.post(`${url}/api/channels/${channel}`, { data: JSON.stringify(data), headers: { "Content-Type": "application/json" } });
    check(`published on ${channel}`, answer.status() === 202);
  }
  for (const page of [light, dark]) {
    await shows(page, "Latency above 250 ms");
    // The first heartbeats are a second apart; the figures are of some of them then.
    await page.waitForFunction(() => document.querySelectorAll("#pulse rect").length >= 5);
    await page.evaluate(() => document.activeElement.blur());
  }

  // The accent of a new update fades within three seconds; its contrast is not meant to last.
  await light.waitForTimeout(3500);
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
