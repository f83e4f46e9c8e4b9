/**
 * Where the script of the Worker is, which a bundle has only as an entry of its own.
 *
 * @module
 */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";

// By a name of its own: webpack takes what `new URL()` has beside it for files of the bundle.
const here = import.meta.url;

/** What a Worker is started from. */
export const WORKER_URL: URL = startable(
  new URL(here.endsWith(".ts") ? "./worker.ts" : "./worker.js", here),
);

const HINT = "bun build --entry-naming '[name].[ext]' PROGRAM " +
  "node_modules/@vsockit/vsockit/dist/worker.js";

/** From a registry Deno has this module as https:, which a Worker cannot be but can import. */
function startable(url: URL): URL {
  if (url.protocol === "file:") return url;
  return new URL(`data:text/javascript,${encodeURIComponent(`import "${url}";`)}`);
}

/** Fails where `url` is a file that is not there, and says how a bundle gets it. */
export function requireWorker(url: URL): void {
  if (url.protocol !== "file:") return;
  try {
    statSync(url);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") return; // Deno may not look there
    throw new Error(
      "Cannot start the Worker of perf: must be a file beside the program, a second entry of its " +
        `bundle: current value is no file ${fileURLToPath(url)}: ${HINT}`,
    );
  }
}
