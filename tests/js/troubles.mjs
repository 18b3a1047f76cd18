// node troubles.mjs URL: the live board in a real Chromium, whose service refuses it at first, and later hangs.

import { connected, notice, processOf, says } from "./board.mjs";
import { ask, check, open, withBrowser } from "./browser.mjs";

const url = process.argv[2];
const LONGER_THAN_A_RETRY = 3000;

/** The service takes it for a page of another origin. */
async function refused(page) {
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
  check("the notice leads to the page that finds out why", await page.isVisible("#notice a[href='/diagnostics']"));

  await page.unroute("**/socket.io/**");
  await page.click("#reconnect");
  await connected(page);
  check("it is when its user asks for it", await notice(page) === "", await notice(page));
}

async function hanging(page) {
  const frozen = await processOf(page);
  await ask({ freeze: frozen });
  await says(page, "Degraded");
  check("while nothing answers, it says that the connection is not good", await notice(page) === "");
  await ask({ thaw: frozen });
  await connected(page);
  check("answers make it good again, in the same session", await processOf(page) === frozen);
}

async function go(browser) {
  const page = await open(browser, "about:blank");
  await refused(page);
  await hanging(page);
}

await withBrowser(go);
