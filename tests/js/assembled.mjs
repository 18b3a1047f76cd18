// node assembled.mjs PORT: opens https://chat.test/, whose port 443 is PORT of the loopback address, and
// prints the page's title as soon as it has changed, or the browser's complaint about plain addresses.

import { chromium } from "playwright-core";
import { FLAGS, PATIENCE } from "./browser.mjs";

const [port] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [...FLAGS, `--host-resolver-rules=MAP chat.test:443 127.0.0.1:${port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`],
});
try {
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  page.setDefaultTimeout(PATIENCE);
  const refused = page.waitForEvent("console", {
    predicate: (message) => message.text().includes("Mixed Content"),
  });
  await page.goto("https://chat.test/");
  const connected = page.waitForFunction(() => document.title.startsWith("connected"));
  const outcome = await Promise.any([
    refused.then((message) => message.text()),
    connected.then(() => page.title()),
  ]);
  console.log(outcome);
} finally {
  await browser.close();
}
