// node prefix.mjs URL TOKEN DIRECTORY: all pages of a service that is served under a prefix, with which URL ends.

import { connected, publish, shows, subscribed } from "./board.mjs";
import { check, complained, open, withBrowser } from "./browser.mjs";

const [url, token, directory] = process.argv.slice(2);

async function board(browser) {
  const page = await open(browser, `${url}/`);
  await connected(page);
  await subscribed(page);
  await publish(page, "under a prefix");
  await shows(page, "under a prefix");
  check("the board works", true);
}

async function diagnostics(browser) {
  const page = await open(browser, `${url}/diagnostics`);
  await page.locator("#copy:enabled").waitFor();
  const verdicts = await page.locator("#steps > li").evaluateAll((items) => items.map((item) => (
    `${item.id} ${item.dataset.verdict}`
  )));
  check("no step of the diagnostics fails", !verdicts.some((verdict) => verdict.endsWith("failed")), verdicts);
}

async function ops(browser) {
  const page = await open(browser, `${url}/ops`);
  await page.fill("#token", token);
  await page.press("#token", "Enter");
  await page.locator("#processes tr").first().waitFor();
  check("operators see the processes", true);
}

await withBrowser(async (browser) => {
  await board(browser);
  await diagnostics(browser);
  await ops(browser);
  check("no page complains", complained().length === 0, complained());
}, directory);
