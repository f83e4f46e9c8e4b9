/**
 * The one error that the public calls give for what a socket refuses.
 *
 * @module
 */
import { type Code, SysError } from "../ffi/errno.ts";
import { type Address, formatAddress } from "./address.ts";
import { hintBeneath, hintFor } from "./hint.ts";

/** The call that failed, by its libc name: `man 2 <op>` explains the code. */
export type Op =
  | "socket"
  | "bind"
  | "listen"
  | "connect"
  | "accept"
  | "send"
  | "recv"
  | "shutdown"
  | "getsockopt"
  | "setsockopt"
  | "getsockname"
  | "getpeername"
  | "ioctl"
  | "poll"
  | "mmap"
  | "munmap"
  | "madvise";

/** Codes of descriptors, memory, watches or threads that have run out, which pass. */
export const EXHAUSTED: ReadonlySet<string> = new Set(
  ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENOSPC", "EAGAIN"],
);

/** What a {@linkcode VsockError} knows beside its call and code. */
export interface VsockErrorOptions {
  /** The peer; for `bind`, `listen` and `accept` the local end; for `socket` either of them. */
  readonly address?: Address | undefined;
  /** What a person can do. @default {the usual cure for this call and code, where there is one} */
  readonly hint?: string | undefined;
  /** The error underneath. */
  readonly cause?: unknown;
}

/**
 * What the kernel, or a loopback in its stead, refused; or a wait whose `timeoutMs` is over
 * (`ETIMEDOUT`), a use after `close()` (`EBADF`), a second read, write or accept while one is
 * pending (`EBUSY`). Compare `code`.
 *
 * @example Tell a refused connection from others
 * ```ts
 * import { connect, VsockError } from "@vsockit/vsockit";
 *
 * try {
 *   await connect({ cid: 1, port: 4242 }, { transport: "loopback" });
 * } catch (error) {
 *   if (!(error instanceof VsockError) || error.code !== "ECONNRESET") throw error;
 *   console.log(`${error.op}: ${error.hint}`);
 * }
 * ```
 */
export class VsockError extends Error {
  /** Always `"VsockError"`. */
  override readonly name: string = "VsockError";
  /** The failed call. */
  readonly op: Op;
  /** Symbolic errno, e.g. `"ECONNRESET"`; `"E<number>"` for one that has no name here. */
  readonly code: Code | `E${number}`;
  /** Positive Linux errno, e.g. 104. */
  readonly errno: number;
  /** The peer; for `bind`, `listen` and `accept` the local end; for `socket` either of them. */
  readonly address: Address | undefined;
  /** What a person can do about it; `undefined` where there is no usual cure. */
  readonly hint: string | undefined;

  /** From a call and its errno, as a name or a number. */
  constructor(op: Op, errno: Code | number, options: VsockErrorOptions = {}) {
    const { code, errno: number } = new SysError(op, errno);
    const { address, hint = hintFor(op, code, address), cause } = options;
    const where = address === undefined || isUnnamed(address) ? "" : ` ${formatAddress(address)}`;
    const cure = hint === undefined ? "" : `: ${hint}`;
    const message = `Cannot ${op}${where}: ${code} (errno ${number})${cure}`;
    super(message, cause === undefined ? undefined : { cause });
    this.op = op;
    this.code = code;
    this.errno = number;
    this.address = address;
    this.hint = hint;
  }
}

/** Whether `error` is a {@linkcode VsockError} with this `code`. */
export function isVsockError(error: unknown, code: Code): error is VsockError {
  return error instanceof VsockError && error.code === code;
}

/** Whoever connected by a Unix socket has no path of its own. */
function isUnnamed(address: Address): boolean {
  return "path" in address && address.path === "";
}

/**
 * Gives a socket's `SysError` its context. Anything else, such as the reason of an abort, is given
 * back as it is. `hint` is the socket's, where it has one.
 */
export function toVsockError(
  op: Op,
  cause: unknown,
  address?: Address,
  hint?: string,
): unknown {
  if (!(cause instanceof SysError)) return cause;
  const cure = hint ?? (cause.op === op ? undefined : hintBeneath(cause.op, cause.code));
  return new VsockError(op, cause.errno, { address, hint: cure, cause });
}

/**
 * Calls `f`; what its socket refuses is thrown as a {@linkcode VsockError}, with the hint of
 * `socket` where that has one.
 */
export function attempt<T>(
  op: Op,
  address: Address | undefined,
  f: () => T,
  socket?: { readonly hint?: string | undefined },
): T {
  try {
    return f();
  } catch (cause) {
    throw toVsockError(op, cause, address, socket?.hint);
  }
}
