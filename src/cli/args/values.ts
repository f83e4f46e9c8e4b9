/**
 * Values on a command line: integers, and sizes as people write them, `4096`, `64K`, `16M`, `2G`,
 * each letter times 1024. Apart from flags, for Workers, which read none.
 *
 * @module
 */

const LETTERS = "KMG";

/**
 * A command line that cannot be obeyed: printed with a pointer to `--help`, exit code 2. Nothing
 * has been started.
 */
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

/** `value` as an integer. @throws {UsageError} If it is none from `min` to `max`. */
export function toInteger(what: string, value: string, min: number, max: number): number {
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw wrongValue(what, `be an integer from ${min} to ${max}`, value);
}

/**
 * The bytes that `value` stands for. A number without a letter counts in `unit` bytes.
 *
 * @throws {UsageError} If they are not from `min` to `max`, which a double holds exactly.
 */
export function toBytes(
  what: string,
  value: string,
  min: number,
  max: number,
  unit = 1,
): number {
  const [, digits = "NaN", letter = ""] = /^(\d+)([KMG]?)$/i.exec(value) ?? [];
  const scale = letter === "" ? unit : 1024 ** (LETTERS.indexOf(letter.toUpperCase()) + 1);
  const bytes = Number(digits) * scale;
  if (bytes >= min && bytes <= max) return bytes;
  const rule = `be a whole number, alone or with K, M or G behind it, of ${min} to ${max} bytes`;
  throw wrongValue(what, rule, value);
}

/** The shortest exact way to write `bytes`: `64K`, `2G`, `4097`. */
export function formatSize(bytes: number): string {
  let [value, letter] = [bytes, ""];
  for (const next of LETTERS) {
    if (value === 0 || value % 1024 !== 0) break;
    [value, letter] = [value / 1024, next];
  }
  return `${value}${letter}`;
}
