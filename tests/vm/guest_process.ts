/**
 * A guest as a child process, for tests and benches of what is between host and guest.
 *
 * @module
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { RUNTIME } from "../helpers/runtime.ts";
import { ROOT } from "../house/toolchain.ts";
import type { Options } from "./options.ts";

/** How it ended. */
export interface Ended {
  /** As `deno task vm` has it; `null` where it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** For {@linkcode startGuest}: what is left out is as on the command line. */
export type GuestOptions = Partial<Options> & Pick<Options, "command">;

/** `deno task vm -- ARGS` that runs, and what it has printed so far. */
export class GuestProcess implements AsyncDisposable {
  /** Resolves when the machine and the process are gone. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #heard: Set<() => void> = new Set();
  #stdout = "";
  #stderr = "";

  /** Starts it. */
  constructor(args: readonly string[]) {
    // Where one that is killed leaves what it has.
    const scratch = mkdtempSync(join(tmpdir(), "vsockit-guest-"));
    this.#child = spawn(deno(), ["run", "-A", "tests/vm/main.ts", "--", ...args], {
      cwd: ROOT,
      env: { ...process.env, TMPDIR: scratch },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      for (const look of this.#heard) look();
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => this.#stderr += text);
    this.ended = this.#end(scratch);
    this.ended.catch(() => {}); // whoever waits for it gets the error
  }

  /** What the command has printed so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Resolves once stdout has `text`, however often; rejects where the guest ends before. */
  async says(text: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (this.#stdout.includes(text)) resolve();
    };
    this.#heard.add(look);
    look();
    const silent = this.ended.then(({ code, stdout, stderr }) => {
      if (stdout.includes(text)) return;
      throw new Error(`the guest ended with ${code} and did not say ${text}\n${stdout}${stderr}`);
    });
    await Promise.race([promise, silent]).finally(() => this.#heard.delete(look));
  }

  /** SIGKILL ends the machine at once, as if it lost its power; SIGTERM says so, and gives 130. */
  kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(pid, signal); // Deno's child.kill() would hide the exit code
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }

  /** Kills it where it still runs, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.ended;
  }

  async #end(scratch: string): Promise<Ended> {
    try {
      // The machine has our stderr too: that is open until both have ended.
      const [code]: (number | null)[] = await once(this.#child, "close");
      return { code: code ?? null, stdout: this.#stdout, stderr: this.#stderr };
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
}

/**
 * Boots a guest with a command; the caller ends it, `await using` does so. Sockets that it names
 * must listen by now.
 */
export function startGuest(options: GuestOptions): GuestProcess {
  const { flavour, kernel, timeoutSeconds, cpus, memoryMiB, results } = options;
  const { control, monitor } = options;
  const paths = Object.entries({ results, control, monitor, "vhost-user": options.vhostUser });
  const given = [
    ...Object.entries({ flavour, kernel, timeout: timeoutSeconds, cpus, memory: memoryMiB }),
    ...paths.map(([name, path]) => [name, path === undefined ? path : resolve(path)] as const),
  ].filter(([, value]) => value !== undefined);
  const load = (options.load ?? []).map((module) => `--load=${module}`);
  const args = given.map(([name, value]) => `--${name}=${value}`);
  return new GuestProcess([...args, ...load, "--", ...options.command]);
}

/** The laboratory runs on Deno, whatever this runs on. */
function deno(): string {
  return RUNTIME === "deno" ? process.execPath : process.env["VSOCKIT_DENO"] ?? "deno";
}
