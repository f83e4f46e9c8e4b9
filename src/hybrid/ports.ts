/**
 * Ports that bind(2) chooses.
 *
 * @module
 */
import { isSysError, SysError } from "../../ffi/errno.ts";

/** The first port that needs no privilege. */
const FIRST = 1024;
/** From here on, VMMs number the ends of connections that a host makes. */
const LAST = 2 ** 30 - 1;
const TRIES = 1_000;

/**
 * What `claim` gives for the first free port of those tried, from a random one on.
 *
 * @throws {SysError} `EADDRINUSE` if none is found, or what else `claim` throws.
 */
export function pickPort<T>(claim: (port: number) => T): T {
  const start = FIRST + Math.floor(Math.random() * (LAST - FIRST - TRIES));
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      return claim(start + tries);
    } catch (error) {
      if (!isSysError(error, "EADDRINUSE")) throw error;
    }
  }
  throw new SysError("bind", "EADDRINUSE");
}
