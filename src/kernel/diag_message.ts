/**
 * The messages of vsock_diag over netlink, as bytes. Replies are checked before they are believed:
 * no length in them leads outside of them.
 *
 * @module
 */
import { NLM_F_DUMP, NLM_F_REQUEST } from "../../ffi/abi/netlink.ts";
import { NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN } from "../../ffi/abi/netlink.ts";
import { NLMSGERR, NLMSGHDR } from "../../ffi/abi/netlink.ts";
import { SOCK_DIAG_BY_FAMILY } from "../../ffi/abi/sock_diag.ts";
import { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import {
  TCP_CLOSE,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  TCP_SYN_SENT,
} from "../../ffi/abi/tcp_states.ts";
import { AF_VSOCK } from "../../ffi/abi/vm_sockets.ts";
import { VSOCK_DIAG_MSG, VSOCK_DIAG_REQ } from "../../ffi/abi/vm_sockets_diag.ts";
import { ERRNO, SysError } from "../../ffi/errno.ts";
import type { VsockAddress } from "../address.ts";

/** What a socket of AF_VSOCK is about, by the names of the kernel's `vsock_diag_test`. */
export type SocketState =
  | "UNCONNECTED"
  | "CONNECTING"
  | "CONNECTED"
  | "DISCONNECTING"
  | "LISTEN"
  | "UNKNOWN";

/** One socket of AF_VSOCK, of any process. */
export interface SocketEntry {
  /** Its type; `"unknown"` for one that Linux did not have when this was written. */
  readonly type: "stream" | "seqpacket" | "dgram" | "unknown";
  /** What it is about. */
  readonly state: SocketState;
  /** As in `/proc/PID/fd`, `socket:[inode]`; 0 for one that no process has, yet or any more. */
  readonly inode: number;
  /** This end; 4294967295 in place of a number is any. */
  readonly local: VsockAddress;
  /** The other end; 4294967295 for both where there is none. */
  readonly remote: VsockAddress;
  /** Whether this end receives no more, by shutdown(2). */
  readonly readClosed: boolean;
  /** Whether this end sends no more, by shutdown(2). */
  readonly writeClosed: boolean;
}

/** What one datagram holds. */
export interface DiagReply {
  /** The sockets in it. */
  readonly sockets: readonly SocketEntry[];
  /** Whether it is the last one. */
  readonly done: boolean;
}

const STATES: ReadonlyMap<number, SocketState> = new Map([
  [TCP_CLOSE, "UNCONNECTED"],
  [TCP_SYN_SENT, "CONNECTING"],
  [TCP_ESTABLISHED, "CONNECTED"],
  [TCP_CLOSING, "DISCONNECTING"],
  [TCP_LISTEN, "LISTEN"],
]);
const TYPES: ReadonlyMap<number, SocketEntry["type"]> = new Map([
  [SOCK_STREAM, "stream"],
  [SOCK_SEQPACKET, "seqpacket"],
  [SOCK_DGRAM, "dgram"],
]);
const ALL_STATES = 0xffff_ffff;
const [RCV_SHUTDOWN, SEND_SHUTDOWN] = [1, 2];
const ERRNO_MAX = 4095;

/** The request for all sockets; their answers carry `sequence`, unsigned 32-bit. */
export function encodeDiagRequest(sequence: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(NLMSGHDR.size + VSOCK_DIAG_REQ.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(NLMSGHDR.at.nlmsg_len, bytes.length, true);
  view.setUint16(NLMSGHDR.at.nlmsg_type, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(NLMSGHDR.at.nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP, true);
  view.setUint32(NLMSGHDR.at.nlmsg_seq, sequence, true);
  view.setUint8(NLMSGHDR.size + VSOCK_DIAG_REQ.at.sdiag_family, AF_VSOCK);
  view.setUint32(NLMSGHDR.size + VSOCK_DIAG_REQ.at.vdiag_states, ALL_STATES, true);
  return bytes;
}

/**
 * Reads one datagram; messages of another sequence, type or family are passed over.
 *
 * @throws {SysError} What the kernel says, `EPROTO` for a length that cannot be.
 */
export function decodeDiagReply(bytes: Uint8Array, sequence: number): DiagReply {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sockets: SocketEntry[] = [];
  let done = false;
  for (let start = 0; start < view.byteLength && !done;) {
    const message = cut(view, start, view.byteLength - start, NLMSGHDR.size);
    const length = message.getUint32(NLMSGHDR.at.nlmsg_len, true);
    const body = cut(message, NLMSGHDR.size, length - NLMSGHDR.size, 0);
    start += Math.ceil(length / NLMSG_ALIGNTO) * NLMSG_ALIGNTO;
    if (message.getUint32(NLMSGHDR.at.nlmsg_seq, true) !== sequence) continue;
    switch (message.getUint16(NLMSGHDR.at.nlmsg_type, true)) {
      case NLMSG_OVERRUN:
        throw new SysError("recv", "ENOBUFS");
      case NLMSG_ERROR:
        requireNoError(cut(body, 0, body.byteLength, NLMSGERR.sizes.error));
        done = true;
        break;
      case NLMSG_DONE:
        if (body.byteLength >= NLMSGERR.sizes.error) requireNoError(body);
        done = true;
        break;
      case SOCK_DIAG_BY_FAMILY: {
        const entry = decodeEntry(cut(body, 0, body.byteLength, VSOCK_DIAG_MSG.size));
        if (entry !== undefined) sockets.push(entry);
      }
    }
  }
  return { sockets, done };
}

/** `length` bytes of `view` from `start` on, which must be there, and `atLeast` of them. */
function cut(view: DataView, start: number, length: number, atLeast: number): DataView {
  if (length < atLeast || start + length > view.byteLength) throw new SysError("recv", "EPROTO");
  return new DataView(view.buffer, view.byteOffset + start, length);
}

/** `body` begins with an int: 0, or a negative errno. */
function requireNoError(body: DataView): void {
  const error = body.getInt32(NLMSGERR.at.error, true);
  if (error === 0) return;
  throw new SysError("recv", error < 0 && error >= -ERRNO_MAX ? -error : ERRNO.EPROTO);
}

function decodeEntry(message: DataView): SocketEntry | undefined {
  const { at } = VSOCK_DIAG_MSG;
  if (message.getUint8(at.vdiag_family) !== AF_VSOCK) return undefined;
  const address = (cid: number, port: number): VsockAddress => ({
    cid: message.getUint32(cid, true),
    port: message.getUint32(port, true),
  });
  const shutdown = message.getUint8(at.vdiag_shutdown);
  return {
    type: TYPES.get(message.getUint8(at.vdiag_type)) ?? "unknown",
    state: STATES.get(message.getUint8(at.vdiag_state)) ?? "UNKNOWN",
    inode: message.getUint32(at.vdiag_ino, true),
    local: address(at.vdiag_src_cid, at.vdiag_src_port),
    remote: address(at.vdiag_dst_cid, at.vdiag_dst_port),
    readClosed: (shutdown & RCV_SHUTDOWN) !== 0,
    writeClosed: (shutdown & SEND_SHUTDOWN) !== 0,
  };
}
