/**
 * What a command that serves tells of its doings, for programs.
 *
 * @module
 */
import type { Terminal } from "./terminal.ts";

/** One JSON object a line on `out`, with the time in ISO 8601. */
export function jsonLog(terminal: Terminal): (entry: object) => void {
  return (entry) =>
    terminal.out(`${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
}
