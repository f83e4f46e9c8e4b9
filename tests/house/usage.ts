/**
 * The command line of a task, which is read before anything is done.
 *
 * @module
 */
import process from "node:process";

const EXIT_USAGE = 2;

/**
 * What `parse` makes of the arguments of this process, without each `--` that `deno task` passes
 * on. Ends the process where they ask for help, or where `parse` throws: with `usage`, and with one
 * line that says what is wrong.
 */
export function readArgs<T>(usage: string, parse: (args: readonly string[]) => T): T {
  const args = process.argv.slice(2).filter((arg) => arg !== "--");
  if (args.includes("--help") || args.includes("-h")) {
    console.log(usage);
    process.exit();
  }
  try {
    return parse(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${usage}`);
    process.exit(EXIT_USAGE);
  }
}
