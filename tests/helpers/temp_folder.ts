/**
 * An empty folder for the sockets and files of one test, or of one bench.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new folder, which is gone with what is in it at the end. */
export class TempFolder implements Disposable {
  readonly #folder: string = mkdtempSync(join(tmpdir(), "vsockit-"));

  /** A path in it, or its own. */
  path(...names: readonly string[]): string {
    return join(this.#folder, ...names);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
