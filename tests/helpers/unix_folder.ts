/**
 * A folder for the sockets and files of one test, or of one bench.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new folder, which is gone with what is in it at the end. */
export class UnixFolder implements Disposable {
  readonly #folder: string = mkdtempSync(join(tmpdir(), "vsockit-"));

  /** A path in it. */
  path(name: string): string {
    return join(this.#folder, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
