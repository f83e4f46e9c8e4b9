/**
 * Looks at a connection now and then: to show how much has moved, and to end it when nothing does.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import type { Terminal } from "../output/terminal.ts";
import { Stillness } from "../serving/stillness.ts";

const INTERVAL_MS = 200;
const CLEAR_LINE = "\r\x1b[K";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** What to look for. */
export interface WatchOptions {
  /** Where to show what has moved; nowhere unless it is a terminal. */
  readonly terminal: Terminal;
  /** Whether to show it. */
  readonly shown: boolean;
  /** How long nothing may move, without the time for which the process was stopped. */
  readonly timeoutMs?: number | undefined;
  /** Called when nothing has moved for so long. */
  onIdle(): void;
}

/** Watches `conn` until it is disposed, which takes the line away. */
export function watchMoved(
  conn: Pick<Conn<Address>, "bytesRead" | "bytesWritten">,
  options: WatchOptions,
): Disposable {
  const { terminal, timeoutMs, onIdle } = options;
  const shown = options.shown && terminal.interactive;
  const period = Math.min(INTERVAL_MS, timeoutMs ?? INTERVAL_MS);
  const stillness = new Stillness(period, 0);
  const timer = setInterval(() => {
    const { bytesRead, bytesWritten } = conn;
    if (shown) {
      const line = `${formatBytes(bytesWritten)} sent, ${formatBytes(bytesRead)} received`;
      terminal.err(`${CLEAR_LINE}${line.slice(0, terminal.columns - 1)}`); // else it is two
    }
    const stillMs = stillness.look(bytesRead + bytesWritten);
    if (timeoutMs !== undefined && stillMs >= timeoutMs) onIdle();
  }, period);
  return {
    [Symbol.dispose](): void {
      clearInterval(timer);
      if (shown) terminal.err(CLEAR_LINE);
    },
  };
}

/** `bytes` for a person: `512 B`, `12.3 MiB`. */
export function formatBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}
