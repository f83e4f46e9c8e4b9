/**
 * One process with a bound on its time, and on its output where several run at once.
 *
 * @module
 */
import process from "node:process";
import { kill, startGroup } from "../house/group.ts";
import type { Output } from "./output.ts";

const LIMIT_MINUTES = 30;
/** For the rest of its output, once it has ended: who has left its group keeps that open. */
const OUTPUT_MS = 5_000;

/**
 * Runs `command` to its end, or to that of its time; says how it failed, or nothing. Its output
 * goes to `output`, or to ours.
 */
export function runBounded(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  output?: Output,
): Promise<string> {
  const mode = output === undefined ? "inherit" : "pipe";
  const child = startGroup(command, ["ignore", mode, mode], env);
  child.stdout?.on("data", (data) => output?.write(data));
  child.stderr?.on("data", (data) => output?.write(data, process.stderr));
  let late = "";
  const timer = setTimeout(() => {
    late = `not done in ${LIMIT_MINUTES} minutes`;
    kill(child, "SIGKILL");
  }, LIMIT_MINUTES * 60_000);
  return new Promise((resolve) => {
    const end = (fault: string): void => {
      clearTimeout(timer);
      resolve(fault);
    };
    child.on("error", (error) => end(error.message));
    child.on("exit", () => {
      const closing = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, OUTPUT_MS);
      child.on("close", () => clearTimeout(closing));
    });
    child.on("close", (code, signal) => {
      end(late || (code === 0 ? "" : `ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}
