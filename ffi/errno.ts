/**
 * Errno names and numbers of Linux (asm-generic), and the error every wrapped call throws.
 *
 * @module
 */

/** The errno names that the socket and memory calls of this library can give. */
export type Code =
  | "EPERM"
  | "ENOENT"
  | "EINTR"
  | "EIO"
  | "ENXIO"
  | "EBADF"
  | "EAGAIN"
  | "ENOMEM"
  | "EACCES"
  | "EFAULT"
  | "EBUSY"
  | "EEXIST"
  | "ENODEV"
  | "ENOTDIR"
  | "EISDIR"
  | "EINVAL"
  | "ENFILE"
  | "EMFILE"
  | "ENOTTY"
  | "EFBIG"
  | "ENOSPC"
  | "ESPIPE"
  | "EROFS"
  | "EPIPE"
  | "EDOM"
  | "ERANGE"
  | "ENAMETOOLONG"
  | "ENOSYS"
  | "ELOOP"
  | "EPROTO"
  | "EOVERFLOW"
  | "ENOTSOCK"
  | "EDESTADDRREQ"
  | "EMSGSIZE"
  | "EPROTOTYPE"
  | "ENOPROTOOPT"
  | "EPROTONOSUPPORT"
  | "ESOCKTNOSUPPORT"
  | "EOPNOTSUPP"
  | "EAFNOSUPPORT"
  | "EADDRINUSE"
  | "EADDRNOTAVAIL"
  | "ENETDOWN"
  | "ENETUNREACH"
  | "ENETRESET"
  | "ECONNABORTED"
  | "ECONNRESET"
  | "ENOBUFS"
  | "EISCONN"
  | "ENOTCONN"
  | "ESHUTDOWN"
  | "ETOOMANYREFS"
  | "ETIMEDOUT"
  | "ECONNREFUSED"
  | "EHOSTDOWN"
  | "EHOSTUNREACH"
  | "EALREADY"
  | "EINPROGRESS"
  | "EDQUOT"
  | "ECANCELED";

/** Errno numbers by name, as in `<asm-generic/errno.h>`. */
export const ERRNO: Readonly<Record<Code, number>> = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ELOOP: 40,
  EPROTO: 71,
  EOVERFLOW: 75,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  EPROTOTYPE: 91,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  ESOCKTNOSUPPORT: 94,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENETRESET: 102,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETOOMANYREFS: 109,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  EDQUOT: 122,
  ECANCELED: 125,
};

const NAMES: ReadonlyMap<number, Code> = new Map(
  (Object.entries(ERRNO) as [Code, number][]).map(([name, number]) => [number, name]),
);

/** The name of an errno number, or `undefined` where this library does not know it. */
export function errnoName(errno: number): Code | undefined {
  return NAMES.get(errno);
}

/** What a call that moves data gives in place of EAGAIN: -1, which no count of bytes is. */
export const WOULD_BLOCK: number = -1;

/** What the kernel says among itself; older ones let it out, as Linux 5.10 does of SO_ZEROCOPY. */
const KERNEL_ENOTSUPP = 524;

/** A system call, or the loopback in its stead, said no. Compare `code`. */
export class SysError extends Error {
  /** Always `"SysError"`. */
  override readonly name: string = "SysError";
  /** The failed call by its libc name: `man 2 <op>` explains the code. */
  readonly op: string;
  /** Symbolic errno, e.g. `"ECONNRESET"`; `"E<number>"` for one that has no name here. */
  readonly code: Code | `E${number}`;
  /** Positive Linux errno, e.g. 104. */
  readonly errno: number;
  /** From a call's name and the errno it left, as a number or a name. */
  constructor(op: string, errno: number | Code) {
    const given = typeof errno === "number" ? errno : ERRNO[errno];
    const number = given === KERNEL_ENOTSUPP ? ERRNO.EOPNOTSUPP : given;
    const code = errnoName(number) ?? (`E${number}` as const);
    super(`${op}: ${code} (errno ${number})`);
    this.op = op;
    this.code = code;
    this.errno = number;
  }
}

/** Whether `error` is a {@linkcode SysError} with this `code`. */
export function isSysError(error: unknown, code: Code): error is SysError {
  return error instanceof SysError && error.code === code;
}
