// What all tests in a real Chromium share.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

// Without these, Chromium looks for its maker's hosts; as root it refuses to run in a sandbox.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Start the Chromium that the environment names. */
export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
}

/** Return what is in the way of assistive technology. */
export async function violations(page) {
  // The page's Content-Security-Policy may forbid further scripts; evaluating is not one.
  await page.evaluate(axe);
  const report = await page.evaluate(() => window.axe.run());
  return report.violations.map((violation) => violation.id);
}
