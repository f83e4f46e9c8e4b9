/**
 * The lines of a log, which never wait for whoever reads them.
 *
 * @module
 */
import type { Terminal } from "./terminal.ts";

/**
 * Writes lines to `stream`, each shorter than a page: a pipe that has room takes as much at once.
 * Lines for which there is none, or that a full disk refuses, are lost, and the next one comes
 * behind what `tell` says of that.
 */
function logLines(
  terminal: Terminal,
  stream: "out" | "err",
  tell: (lost: number) => string,
): (line: string) => void {
  let lost = 0;
  const write = (line: string): boolean => {
    if (terminal.ready?.(stream) === false) return false;
    terminal[stream](`${line}\n`);
    return terminal.refused?.(stream) !== true;
  };
  return (line) => {
    if (lost > 0 && write(tell(lost))) lost = 0;
    if (lost > 0 || !write(line)) lost++;
  };
}

/** Lines for people on `err`. */
export function textLines(terminal: Terminal): (line: string) => void {
  return logLines(terminal, "err", (lost) => `lines lost, since nobody read them: ${lost}`);
}

/**
 * What a command that serves tells programs: one JSON object a line on `out`, with the time in ISO
 * 8601. Where nobody reads, lines are lost; the event `lost` tells how many.
 */
export function jsonLog(terminal: Terminal): (entry: object) => void {
  const write = logLines(terminal, "out", (count) => stamped({ event: "lost", count }));
  return (entry) => write(stamped(entry));
}

function stamped(entry: object): string {
  return JSON.stringify({ time: new Date().toISOString(), ...entry });
}
