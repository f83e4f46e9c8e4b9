/**
 * The error queue of a socket, where the kernel tells what became of MSG_ZEROCOPY sends.
 *
 * @module
 */
import { SO_EE_CODE_ZEROCOPY_COPIED, SockExtendedErr } from "../../ffi/abi/errqueue.ts";
import { SO_EE_ORIGIN_ZEROCOPY } from "../../ffi/abi/errqueue.ts";
import { IP_RECVERR, IPPROTO_IP, IPPROTO_IPV6, IPV6_RECVERR } from "../../ffi/abi/in.ts";
import { MSG_ERRQUEUE, SOL_VSOCK } from "../../ffi/abi/socket.ts";
import { VSOCK_RECVERR } from "../../ffi/abi/vm_sockets.ts";
import { decodeControl } from "../../ffi/cmsg.ts";
import { recvmsg } from "../../ffi/libc.ts";
import { Message } from "../../ffi/message.ts";
import { WOULD_BLOCK } from "../socket.ts";

/** One record: what recvmsg(2) gave beside it, and the `struct sock_extended_err`. */
export interface ErrorRecord {
  /** `cmsg_level`, e.g. `SOL_VSOCK`. */
  readonly level: number;
  /** `cmsg_type`, e.g. `VSOCK_RECVERR`. */
  readonly type: number;
  /** `ee_errno`: 0 for zero-copy records. */
  readonly errno: number;
  /** Whether it is about MSG_ZEROCOPY sends; `first`, `last` and `copied` mean nothing else. */
  readonly zeroCopy: boolean;
  /** The first send that is over, counted from 0 modulo 2^32. */
  readonly first: number;
  /** The last one, inclusive. */
  readonly last: number;
  /** Whether the kernel copied after all. */
  readonly copied: boolean;
}

/** What carries a `struct sock_extended_err`, by level. */
const RECVERR: ReadonlyMap<number, number> = new Map([
  [SOL_VSOCK, VSOCK_RECVERR],
  [IPPROTO_IP, IP_RECVERR],
  [IPPROTO_IPV6, IPV6_RECVERR],
]);

/** One will do: no call of a thread starts inside of another. */
const control: Uint8Array<ArrayBuffer> = new Uint8Array(256);
const message: Message = new Message([], { control });

/**
 * Takes the oldest record from the error queue of `fd`; `undefined` where there is none. Never
 * blocks; the pending error (`SO_ERROR`) stays what it is. Wraps recvmsg(2) with `MSG_ERRQUEUE`.
 */
export function takeErrorRecord(fd: number): ErrorRecord | undefined {
  for (;;) {
    if (recvmsg(fd, message, MSG_ERRQUEUE) === WOULD_BLOCK) return undefined;
    for (const { level, type, data } of decodeControl(control.subarray(0, message.controlLength))) {
      // What else there may be, such as timestamps, was asked for by somebody else.
      if (RECVERR.get(level) !== type) continue;
      const error = new SockExtendedErr(data);
      return {
        level,
        type,
        errno: error.errno,
        zeroCopy: error.origin === SO_EE_ORIGIN_ZEROCOPY,
        first: error.info,
        last: error.data,
        copied: (error.code & SO_EE_CODE_ZEROCOPY_COPIED) !== 0,
      };
    }
  }
}
