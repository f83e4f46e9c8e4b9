/**
 * What a command that serves tells of its doings, for programs.
 *
 * @module
 */
import { logLines } from "./log_lines.ts";
import type { Terminal } from "./terminal.ts";

/**
 * One JSON object a line on `out`, with the time in ISO 8601. Where nobody reads, lines are lost;
 * the event `lost` tells how many.
 */
export function jsonLog(terminal: Terminal): (entry: object) => void {
  const write = logLines(terminal, "out", (count) => stamped({ event: "lost", count }));
  return (entry) => write(stamped(entry));
}

function stamped(entry: object): string {
  return JSON.stringify({ time: new Date().toISOString(), ...entry });
}
