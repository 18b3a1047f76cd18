// Load a module of the template as a page does. Node would take it for CommonJS where no package.json
// beside it says otherwise, and a generated project has none.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const STATIC = fileURLToPath(new URL("../../{{cookiecutter.project_slug}}/production/browser/static", import.meta.url));

export async function load(...names) {
  const directory = mkdtempSync(join(tmpdir(), "realtime-"));
  try {
    cpSync(STATIC, directory, { recursive: true });
    writeFileSync(join(directory, "package.json"), '{"type": "module"}');
    return Object.assign({}, ...await Promise.all(names.map((name) => import(pathToFileURL(join(directory, name))))));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
