/**
 * A connection in the hands of a child process.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { F_GETFL, F_SETFL, O_NONBLOCK } from "../../../ffi/abi/fcntl.ts";
import { fcntl } from "../../../ffi/libc.ts";
import { type Address, formatAddress } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { KernelSocket } from "../../kernel/socket.ts";
import type { Pipes } from "./pipes.ts";
import { relay } from "./relay.ts";

/** Those that run now. */
const running: Set<ChildProcess> = new Set();

/** Sends a signal to all commands, and to what they have started. */
export function signalCommands(name: NodeJS.Signals): void {
  for (const child of running) signalGroup(child, name);
}

/**
 * Gives `conn` to `sh -c command` as its standard input and output; it ends with the child, and is
 * closed. `VSOCKIT_PEER` is the address of the peer. `signal` ends the child, and what that has
 * started, by SIGTERM.
 *
 * @returns Why the command failed; `undefined` where it ended with 0.
 */
export async function execOn(
  conn: Conn<Address>,
  command: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { socket } = conn;
  const direct = socket instanceof KernelSocket;
  const child = spawnShell(command, conn.remoteAddr, direct ? blockingFd(socket) : "pipe");
  if (direct) conn.close();
  const stop = (): void => signalGroup(child, "SIGTERM");
  running.add(child);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const ended = endOf(child);
    if (direct || child.pid === undefined) return await ended; // nor has it pipes
    const relaying = relay(conn, pipesOf(child), { lines: false, receiveOnly: false, signal })
      .finally(() => child.stdout?.destroy()); // what it still writes has no reader
    const [failure] = await Promise.all([ended.finally(() => conn.closeRead()), relaying]);
    return failure;
  } finally {
    running.delete(child);
    signal.removeEventListener("abort", stop);
    conn.close();
    for (const pipe of [child.stdin, child.stdout]) pipe?.destroy(); // or it waits for ever
  }
}

function spawnShell(command: string, peer: Address, end: number | "pipe"): ChildProcess {
  return spawn("/bin/sh", ["-c", command], {
    detached: true, // a process group of its own
    stdio: [end, end, "inherit"],
    env: { ...process.env, VSOCKIT_PEER: formatAddress(peer) },
  });
}

/** A signal to the shell and to its commands, which would not notice that it has got one. */
function signalGroup({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid === undefined) return; // it could not be started
  try {
    process.kill(-pid, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // It has just ended, or has become another user's.
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

/** The descriptor, made blocking, as programs expect it. Nobody here reads it any more. */
function blockingFd({ fd }: KernelSocket<Address>): number {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return fd;
}

/** Why it failed; `undefined` where it ended with 0. */
function endOf(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, killed) => {
      resolve(code === 0 ? undefined : `the command ended with ${killed ?? code}`);
    });
  });
}

/** A socket that is not the kernel's alone cannot be inherited: its bytes go through here. */
function pipesOf({ stdin, stdout }: ChildProcess): Pipes {
  if (stdin === null || stdout === null) throw new TypeError("Cannot use a child without pipes");
  stdin.on("error", () => {}); // a child need not read what comes
  return {
    quiet: false,
    read: () => stdout,
    write: (bytes) =>
      new Promise((resolve) => void stdin.write(Uint8Array.from(bytes), () => resolve())),
    end: () => void stdin.end(),
    [Symbol.dispose](): void {},
  };
}
