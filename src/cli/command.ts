/**
 * What a subcommand of `vsockit` is.
 *
 * @module
 */
import type { Flag } from "./args/flags.ts";
import type { Terminal } from "./output/terminal.ts";

/** Exit code: done. */
export const EXIT_OK = 0;
/** Exit code: something failed on the way. */
export const EXIT_FAILURE = 1;
/** Exit code: the command line was wrong; nothing was started. */
export const EXIT_USAGE = 2;
/** Exit code, with the number of a signal added: ended by that, as a shell tells it. */
export const EXIT_SIGNAL = 128;

/** One subcommand. It joins `vsockit` by one entry in the list of `commands.ts`. */
export interface Command {
  /** What `--help` prints. */
  readonly help: string;
  /** The flags that it takes beside `--help`, for the shells. */
  readonly flags: readonly Flag[];
  /** Words that it takes beside flags, where those can be listed: for the shells. */
  readonly words?: readonly string[];
  /**
   * Runs with the arguments behind the name, `--help` not among them, and gives the exit code.
   * Throws a `UsageError` before anything is started, any other error for a failure.
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}
