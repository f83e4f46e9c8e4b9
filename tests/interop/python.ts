/**
 * Python as a peer: statements of it, run by `peer.py`, one after the other.
 *
 * @module
 */
import { type ChildProcess, type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { encodeLine, LineDecoder, type Messages } from "../vm/json_lines.ts";

/** What runs it, here or in a guest. */
export const PEER: readonly string[] = [
  "python3",
  fileURLToPath(new URL("peer.py", import.meta.url)),
];

/** Why there is no such peer on this machine. */
export function whyNoPython(): string | false {
  const { status } = spawnSync("python3", ["-c", "import socket; socket.AF_VSOCK"]);
  return status !== 0 && "there is no python3 with AF_VSOCK: apt-get install python3";
}

/** An interpreter, by whatever carries its lines. */
export class Python {
  readonly #messages: Messages;
  readonly #answers: AsyncIterator<unknown>;
  #last: Promise<unknown> = Promise.resolve();

  /** Takes over `messages`, whose other end is `peer.py`. */
  constructor(messages: Messages) {
    this.#messages = messages;
    this.#answers = messages[Symbol.asyncIterator]();
  }

  /**
   * Runs statements after those before them; all names of Python's `socket` are there.
   *
   * @returns The value of the last one, if it is an expression; bytes are a Uint8Array.
   * @throws {Error} What Python raised, as `ConnectionResetError: ...`.
   */
  run(text: string): Promise<unknown> {
    const result = this.#last.then(() => this.#run(text));
    this.#last = result.catch(() => {});
    return result;
  }

  async #run(text: string): Promise<unknown> {
    await this.#messages.send(text);
    const { done, value: answer } = await this.#answers.next();
    if (done) throw new Error("Python has ended");
    const { value, error } = answer as { value?: unknown; error?: string };
    if (error !== undefined) throw new Error(error);
    return value;
  }
}

/** One beside this process, which ends it. */
export class LocalPython extends Python implements Disposable {
  readonly #child: ChildProcess;

  constructor() {
    const [command = "", ...args] = PEER;
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    super(messagesOf(child));
    this.#child = child;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

function messagesOf({ stdin, stdout }: ChildProcessByStdio<Writable, Readable, null>): Messages {
  return {
    send: (message) =>
      new Promise((resolve, reject) => {
        stdin.write(encodeLine(message), (error) => error ? reject(error) : resolve());
      }),
    async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
      const decoder = new LineDecoder();
      for await (const chunk of stdout) yield* decoder.push(chunk);
    },
  };
}
