/**
 * `vsockit` in a process of its own, on the runtime that runs this one.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { childCommand } from "../helpers/child.ts";

/** The script of the command. */
export const MAIN: URL = new URL("../../src/cli/main.ts", import.meta.url);

/** What comes before `vsockit`'s own arguments. */
export const VSOCKIT: readonly string[] = childCommand(MAIN);

/** A started `vsockit`. Whoever started it waits for its end, or kills it. */
export class Running implements Disposable {
  readonly child: ChildProcess;
  /** The exit code, once all that was printed is here; 128 and a signal that has ended it. */
  readonly ended: Promise<number>;
  /** Once its standard output has ended, which may be before itself. */
  readonly outEnded: Promise<void>;
  readonly #chunks: Uint8Array[] = [];
  #err = "";
  #wake: () => void = () => {};

  /** Starts it; its standard input is a pipe that stays open until `child.stdin.end()`. */
  constructor(...args: readonly string[]) {
    const [command = "", ...before] = VSOCKIT;
    this.child = spawn(command, [...before, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdout?.on("data", (chunk: Uint8Array) => this.#chunks.push(chunk));
    this.child.stderr?.on("data", (chunk: Uint8Array) => {
      this.#err += new TextDecoder().decode(chunk);
      this.#wake();
    });
    this.outEnded = new Promise((resolve) => this.child.stdout?.once("end", resolve));
    this.child.stdin?.on("error", () => {}); // it may end before it has read all
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (code, signal) => {
        // Deno tells an exit with 130 as a death by SIGINT.
        resolve(code ?? 128 + (constants.signals[signal as "SIGINT"] ?? 0));
        this.#wake();
      });
    });
  }

  /** What it has printed. */
  get bytes(): Uint8Array {
    const all = new Uint8Array(this.#chunks.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  /** The same as text. */
  get out(): string {
    return new TextDecoder().decode(this.bytes);
  }

  /** What it has printed as errors. */
  get err(): string {
    return this.#err;
  }

  /** Gives it `input` and its end. */
  feed(input: string | Uint8Array): void {
    this.child.stdin?.end(input);
  }

  /** Waits until its errors match, and gives the match; fails where it ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    let over = false;
    this.ended.finally(() => over = true).catch(() => {});
    for (;;) {
      const match = pattern.exec(this.#err);
      if (match !== null) return match;
      if (over) throw new Error(`It ended, and never said ${pattern}: ${this.#err}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Kills it where it has not ended. */
  [Symbol.dispose](): void {
    this.child.kill("SIGKILL");
  }
}
