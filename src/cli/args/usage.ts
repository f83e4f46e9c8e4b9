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

/** The error of a value that `what` cannot have: `rule` says what that must be, have or do. */
export function wrongValue(
  what: string,
  rule: string,
  value: string | number | undefined,
): UsageError {
  const shown = value === "" ? '""' : value ?? "nothing";
  return new UsageError(`Cannot use ${what}: must ${rule}: current value is ${shown}`);
}
