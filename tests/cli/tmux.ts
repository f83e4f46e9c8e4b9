/**
 * A real terminal, in which a shell runs: tmux, with nobody looking.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { VSOCKIT } from "./process.ts";

/** Why there is no terminal, if so. */
export const NO_TMUX: string | false = spawnSync("tmux", ["-V"]).error === undefined
  ? false
  : "no tmux: apt install tmux";

const [INTERVAL_MS, PATIENCE_MS] = [30, 60_000];

/** One terminal with bash in it, where `vsockit` is the command of this checkout. */
export class Tmux implements Disposable {
  /** The folder that the shell is in, empty at first. */
  readonly folder: string = mkdtempSync(join(tmpdir(), "vsockit-tmux-"));

  /** Starts it. */
  constructor() {
    const shell = "env -u NO_COLOR PS1='$ ' LC_ALL=C.UTF-8 bash --norc --noprofile +o history";
    const session = ["new-session", "-d", "-x", "120", "-y", "50", "-c", this.folder, shell];
    execFileSync("tmux", [...this.#server, ...session]);
    this.type(`vsockit() { ${VSOCKIT.map((word) => `'${word}'`).join(" ")} "$@"; }; clear`);
  }

  /** A server of its own, which reads no configuration. */
  get #server(): readonly string[] {
    return ["-f", "/dev/null", "-S", join(this.folder, "tmux")];
  }

  /** Types a line, and Enter. */
  type(line: string): void {
    this.write(line);
    this.press("Enter");
  }

  /** Types `keys` as they are. */
  write(keys: string): void {
    execFileSync("tmux", [...this.#server, "send-keys", "-l", keys]);
  }

  /** Presses a key, as tmux calls it: `C-c`, `Tab`. */
  press(key: string): void {
    execFileSync("tmux", [...this.#server, "send-keys", key]);
  }

  /** What it shows, escape sequences of colours too. */
  screen(): string {
    const args = [...this.#server, "capture-pane", "-p", "-e", "-J"];
    return execFileSync("tmux", args, { encoding: "utf8" });
  }

  /** Looks until it shows `pattern`, and gives the match. */
  async sees(pattern: RegExp): Promise<RegExpExecArray> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end;) {
      const match = pattern.exec(this.screen());
      if (match !== null) return match;
      await setTimeout(INTERVAL_MS);
    }
    throw new Error(`The terminal never showed ${pattern}:\n${this.screen()}`);
  }

  /** Ends it, and all that runs in it. */
  [Symbol.dispose](): void {
    spawnSync("tmux", [...this.#server, "kill-server"]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
