/**
 * A progress bar: one line of a terminal, drawn over itself, gone at the end.
 *
 * @module
 */
import type { Terminal } from "../output/terminal.ts";

const LONGEST_BAR = 40;
const [GREEN, RESET, CLEAR_LINE] = ["\x1b[32m", "\x1b[39m", "\r\x1b[K"];

/** Draws on `terminal` where it is one; elsewhere it does nothing. */
export class Progress {
  readonly #terminal: Terminal;

  /** Nothing is drawn yet. */
  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Draws `done` (0 to 1) behind `label`. */
  draw(label: string, done: number): void {
    const { interactive, color, columns } = this.#terminal;
    if (!interactive) return;
    const percent = `${Math.floor(done * 100)}%`.padStart(4);
    const width = Math.min(LONGEST_BAR, columns - label.length - percent.length - 4);
    if (width < 4) return;
    const full = "#".repeat(Math.round(done * width));
    const bar = color ? `${GREEN}${full}${RESET}` : full;
    const empty = ".".repeat(width - full.length);
    this.#terminal.err(`${CLEAR_LINE}${label} [${bar}${empty}]${percent}`);
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#terminal.interactive) this.#terminal.err(CLEAR_LINE);
  }
}
