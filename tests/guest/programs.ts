/**
 * The kernel's own programs, and this command: started, and what they print.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { main } from "../../src/cli/mod.ts";

/** How a program ended. */
export interface Ended {
  readonly code: number | null;
  /** Its output and its errors, in the order they came. */
  readonly printed: string;
}

/** Called with all that was printed so far, whenever there is more. */
export type Watcher = (printed: string) => void;

/** Runs the kernel's `vsock_test` or `vsock_perf`. */
export function runKernelProgram(
  variable: "VSOCK_TEST" | "VSOCK_PERF",
  args: readonly string[],
  watcher: Watcher = (): void => {},
): Promise<Ended> {
  const path = process.env[variable];
  if (path === undefined) throw new Error(`${variable} must name the kernel's program`);
  const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => watcher(printed += text));
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, printed }));
  });
}

/** Runs `vsockit` in this process. */
export async function runCommand(
  args: readonly string[],
  watcher: Watcher = (): void => {},
): Promise<Ended> {
  let printed = "";
  const take = (text: string): void => watcher(printed += text);
  const terminal = { out: take, err: take, interactive: false, color: false, columns: 80 };
  const code = await main(args, terminal);
  return { code, printed };
}
