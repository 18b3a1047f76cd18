// What the page /diagnostics says of all its steps together.

/** How a step came out, and what a reader is told of it. */
export const VERDICTS = {
  passed: "Passed",
  failed: "Failed",
  unknown: "Could not tell",
  skipped: "Skipped",
};

/** How many steps came out in which way, in one sentence. */
export function summary(results) {
  const counts = Object.keys(VERDICTS)
    .map((verdict) => [verdict, results.filter((result) => result.verdict === verdict).length])
    .filter(([, count]) => count > 0)
    .map(([verdict, count]) => `${count} ${VERDICTS[verdict].toLowerCase()}`);
  return `${results.length} steps: ${counts.join(", ")}.`;
}

/** @param about `{ page, service, browser, time }`. */
export function report(about, results) {
  const lines = [
    `Diagnostics of ${about.service}`,
    `Page      ${about.page}`,
    `Browser   ${about.browser}`,
    `Time      ${about.time}`,
    "",
    summary(results),
  ];
  for (const { name, verdict, seen, causes } of results) {
    lines.push("", `[${VERDICTS[verdict]}] ${name}`, `  ${seen}`);
    for (const { cause, fix, lines: configuration = [] } of causes) {
      lines.push(`  Likely cause: ${cause}`, `  What to do:   ${fix}`);
      lines.push(...configuration.map((line) => `                ${line}`));
    }
  }
  return `${lines.join("\n")}\n`;
}
