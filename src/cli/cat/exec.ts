/**
 * A connection in the hands of a child process.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { F_GETFL, F_SETFL, O_NONBLOCK } from "../../../ffi/abi/fcntl.ts";
import { fcntl } from "../../../ffi/libc.ts";
import type { Address } from "../../address.ts";
import { formatAddress } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { KernelSocket } from "../../kernel/socket.ts";

/**
 * Gives `conn` to `sh -c command` as its standard input and output, and closes it here: it ends
 * with the child. `VSOCKIT_PEER` is the address of the peer. `signal` ends the child by SIGTERM.
 *
 * @returns Why the command failed; `undefined` where it ended with 0.
 */
export function execOn(
  conn: Conn<Address>,
  command: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { socket, remoteAddr } = conn;
  if (!(socket instanceof KernelSocket)) {
    throw new TypeError(`Cannot use --exec: must be a socket of the kernel: current value is none`);
  }
  const { fd } = socket;
  // Programs expect that reading waits; nobody here reads any more.
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  const child = spawn("/bin/sh", ["-c", command], {
    stdio: [fd, fd, "inherit"],
    env: { ...process.env, VSOCKIT_PEER: formatAddress(remoteAddr) },
  });
  conn.close();
  const stop = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, killed) => {
      signal.removeEventListener("abort", stop);
      resolve(code === 0 ? undefined : `the command ended with ${killed ?? code}`);
    });
  });
}
