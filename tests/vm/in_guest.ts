/**
 * Ends a program that is not in a guest of the laboratory. Who connects to CID 1 or 2 imports it
 * first: outside, they may be another's, such as the machine's own hypervisor.
 *
 * @module
 */
import process from "node:process";

if (process.env["VSOCKIT_GUEST"] === undefined) {
  throw new Error(
    `Cannot run ${process.argv[1]}: must be a guest, whose CIDs 1 and 2 are known: ` +
      "deno task test FILE, or deno task vm -- COMMAND",
  );
}
