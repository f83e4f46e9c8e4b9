/**
 * The error queue of a socket: what became of MSG_ZEROCOPY sends.
 *
 * @module
 */
import { SO_EE_ORIGIN_ZEROCOPY, SockExtendedErr } from "../../../ffi/abi/errqueue.ts";
import { SO_EE_CODE_ZEROCOPY_COPIED } from "../../../ffi/abi/errqueue.ts";
import { MSG_ERRQUEUE, SOL_VSOCK } from "../../../ffi/abi/socket.ts";
import { decodeControl } from "../../../ffi/cmsg.ts";
import { recvmsg } from "../../../ffi/libc.ts";
import { Message } from "../../../ffi/message.ts";
import { WOULD_BLOCK } from "../../socket.ts";
import { expect } from "./check.ts";

/** `VSOCK_RECVERR` of `<linux/vm_sockets.h>`, since Linux 6.7: a record of the error queue. */
const VSOCK_RECVERR = 1;
const CONTROL_BYTES = 128;

/** What one record says. */
export interface Completion {
  /** The kernel copied after all. */
  readonly copied: boolean;
}

/** Takes one record from the error queue; `undefined` for none. */
export function takeCompletion(fd: number): Completion | undefined {
  const control = new Uint8Array(CONTROL_BYTES);
  const message = new Message([], { control });
  const result = recvmsg(fd, message, MSG_ERRQUEUE);
  if (result === WOULD_BLOCK) return undefined;
  expect("recvmsg with MSG_ERRQUEUE", result, 0);
  const [record] = decodeControl(control.subarray(0, message.controlLength));
  if (record === undefined) throw new Error("recvmsg with MSG_ERRQUEUE: no control message");
  expect("cmsg_level", record.level, SOL_VSOCK);
  expect("cmsg_type", record.type, VSOCK_RECVERR);
  const error = new SockExtendedErr(record.data);
  expect("ee_origin", error.origin, SO_EE_ORIGIN_ZEROCOPY);
  expect("ee_errno", error.errno, 0);
  return { copied: (error.code & SO_EE_CODE_ZEROCOPY_COPIED) !== 0 };
}
