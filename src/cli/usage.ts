/**
 * The one error that means "asked wrongly": printed with a pointer to `--help`, exit code 2.
 *
 * @module
 */

/** A command line that cannot be obeyed. Nothing has been started. */
export class UsageError extends Error {
  /** Always `"UsageError"`. */
  override readonly name: string = "UsageError";
}
