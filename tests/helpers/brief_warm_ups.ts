/**
 * Imported for its effect: `perf` in this process warms up for a moment only. What a number is
 * worth depends on that, and tests look at none; other processes warm up as they do for users.
 *
 * @module
 */
import { TRANSPORTS } from "../../src/cli/perf/transports.ts";

const WAKEUPS = 10;

for (const transport of Object.values(TRANSPORTS)) {
  Object.assign(transport, { warmUpWakeups: WAKEUPS });
}
