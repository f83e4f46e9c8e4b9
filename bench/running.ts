/**
 * Another program, line by line.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";

/** A program that runs. */
export interface Running {
  readonly child: ChildProcess;
  /** The next line of its stdout; of those that match, where `matching` is given. */
  line(matching?: RegExp): Promise<string>;
  /** Resolves at exit code 0, rejects at any other. */
  readonly ended: Promise<void>;
}

/** Starts a command, with its stderr as ours. */
export function start([file = "", ...args]: readonly string[]): Running {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  let [text, closed, wake] = ["", false, (): void => {}];
  child.stdout.setEncoding("utf8").on("data", (data: string) => {
    text += data;
    wake();
  }).on("end", () => {
    closed = true;
    wake();
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => code === 0 ? resolve() : reject(new Error(`${file}: ${code}`)));
  });
  ended.catch(() => {}); // whoever waits for a line learns first
  return {
    child,
    ended,
    async line(matching = /(?:)/): Promise<string> {
      for (;;) {
        while (!text.includes("\n")) {
          if (closed) throw new Error(`${file} ${args[0]} ended without its result`);
          await new Promise<void>((resolve) => wake = resolve);
        }
        const [first = "", ...rest] = text.split("\n");
        text = rest.join("\n");
        if (matching.test(first)) return first;
      }
    },
  };
}
