/**
 * Whether somebody is there for the machine to connect to.
 *
 * @module
 */
import { resolve } from "node:path";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM } from "../../ffi/abi/socket.ts";
import { encodeSockaddrUn } from "../../ffi/abi/un.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, connect, socket } from "../../ffi/libc.ts";
import type { Options } from "./options.ts";

const REASONS: ReadonlyMap<string | number, string> = new Map([
  ["ENOENT", "there is no such file"],
  ["ECONNREFUSED", "nobody has a socket there"],
]);

/** Throws RangeError unless somebody has the sockets that `options` name. */
export function requireListeners({ vhostUser, control, monitor }: Options): void {
  if (vhostUser !== undefined) requireListener("vhost-user", vhostUser);
  if (control !== undefined) requireListener("control", control);
  if (monitor !== undefined) requireListener("monitor", monitor);
}

/** Throws RangeError unless somebody has a stream socket at `path`, which does not notice. */
function requireListener(option: string, path: string): void {
  const probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC);
  try {
    connect(probe, encodeSockaddrUn(resolve(path)));
    throw refused(option, path, "it is one for datagrams");
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    if (error.code === "EPROTOTYPE") return; // it is alive, and no SOCK_DGRAM
    throw refused(option, path, REASONS.get(error.code) ?? error.message);
  } finally {
    close(probe);
  }
}

function refused(option: string, path: string, reason: string): RangeError {
  const must = `${option} must be a Unix socket that listens`;
  return new RangeError(`Cannot boot: ${must}: current value is ${path}: ${reason}`);
}
