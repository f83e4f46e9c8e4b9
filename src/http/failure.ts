/**
 * How a fetch fails.
 *
 * @module
 */

/** As the web's fetch says it: a TypeError, here with what failed and why. */
export function failure(what: string, cause: unknown): TypeError {
  const why = cause instanceof Error ? cause.message : `${cause}`;
  return new TypeError(`Cannot fetch: ${what}: ${why}`, { cause });
}
