/**
 * A command line as this process: from its arguments to its exit code.
 *
 * @module
 */
import process from "node:process";
import { EXIT_SIGNAL } from "./command.ts";
import { main } from "./mod.ts";
import { keepHangupIgnored } from "./serving/signals.ts";

/** `main()`, and all that it has printed is out. */
export async function run(args: readonly string[]): Promise<number> {
  keepHangupIgnored();
  // To the end: those of main() itself go with it.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const code = await main(args);
  // What was interrupted is not printed to its end. A read of standard input that is pending would
  // keep the process for ever.
  if (code < EXIT_SIGNAL) {
    await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
  }
  return code;
}
