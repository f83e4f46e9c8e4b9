/**
 * Control messages: what travels beside the data of sendmsg(2) and recvmsg(2); see cmsg(3).
 *
 * @module
 */
import { CMSG_ALIGN, CMSG_LEN, CMSG_SPACE, CMSGHDR } from "./abi/socket.ts";
import { requireArray, requireBytes, requireInt, requireObject } from "./arguments.ts";
import { bytesOf } from "./view.ts";

/** One control message. */
export interface ControlMessage {
  /** `cmsg_level`, e.g. `SOL_SOCKET`. */
  readonly level: number;
  /** `cmsg_type`, e.g. `SCM_RIGHTS`. */
  readonly type: number;
  /** Its bytes. */
  readonly data: Uint8Array;
}

const { at, size } = CMSGHDR;

/** The messages one behind the other, as sendmsg(2) wants them in `msg_control`. */
export function encodeControl(messages: readonly ControlMessage[]): Uint8Array<ArrayBuffer> {
  requireArray("messages", messages);
  let total = 0;
  for (const message of messages) {
    requireObject("messages", message);
    requireInt("level", message.level);
    requireInt("type", message.type);
    total += CMSG_SPACE(requireBytes("data", message.data));
  }
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let start = 0;
  for (const { level, type, data } of messages) {
    view.setBigUint64(start + at.cmsg_len, BigInt(CMSG_LEN(data.byteLength)), true);
    view.setInt32(start + at.cmsg_level, level, true);
    view.setInt32(start + at.cmsg_type, type, true);
    bytes.set(bytesOf(data), start + CMSG_LEN(0));
    start += CMSG_SPACE(data.byteLength);
  }
  return bytes;
}

/**
 * The messages in the first `msg_controllen` bytes of a buffer that recvmsg(2) filled. A message
 * that runs past the end is cut there, as `MSG_CTRUNC` leaves it. The data are views, not copies.
 */
export function decodeControl(bytes: Uint8Array): ControlMessage[] {
  requireBytes("bytes", bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: ControlMessage[] = [];
  let start = 0;
  while (start + size <= bytes.byteLength) {
    const length = Number(view.getBigUint64(start + at.cmsg_len, true));
    if (length < size) break;
    messages.push({
      level: view.getInt32(start + at.cmsg_level, true),
      type: view.getInt32(start + at.cmsg_type, true),
      data: bytes.subarray(start + CMSG_LEN(0), start + length),
    });
    start += CMSG_ALIGN(length);
  }
  return messages;
}
