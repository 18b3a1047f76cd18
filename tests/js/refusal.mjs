// node refusal.mjs URL: the live board in a real Chromium whose service takes it for a page of another origin.

import { connected, notice, says } from "./board.mjs";
import { check, open, withBrowser } from "./browser.mjs";

const url = process.argv[2];
const LONGER_THAN_A_RETRY = 3000;

async function beRefused(browser) {
  const page = await open(browser, "about:blank");
  let requests = 0;
  await page.route("**/socket.io/**", async (route) => {
    requests += 1;
    const headers = { ...route.request().headers(), origin: "https://elsewhere.example" };
    await route.fulfill({ response: await route.fetch({ headers }) });
  });
  await page.goto(url);
  await says(page, "Offline");
  check("the service's reason is shown", (await notice(page)).includes("Not an accepted origin"), await notice(page));
  await page.waitForTimeout(LONGER_THAN_A_RETRY);
  check("it is not tried again by itself", requests === 1, requests);

  await page.unroute("**/socket.io/**");
  await page.click("#reconnect");
  await connected(page);
  check("it is when its user asks for it", await notice(page) === "", await notice(page));
}

await withBrowser(beRefused);
