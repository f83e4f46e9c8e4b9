/**
 * Reading what nobody wants.
 *
 * @module
 */
import { MSG_DONTWAIT } from "../../ffi/abi/socket.ts";
import { recv } from "../../ffi/libc.ts";
import { ignoreRefusal } from "./refusal.ts";

/** Calls of recv(2) that empty the queue of any socket, however fast its peer sends more. */
const CALLS_MAX = 16_384;

let into: Uint8Array<ArrayBuffer> | undefined;

/**
 * Throws away what is queued at `fd`. `queued` says how many bytes that is, where recv(2) gives 0
 * for a message without bytes too.
 */
export function discardQueued(fd: number, queued: (() => number) | undefined): void {
  const buffer = into ??= new Uint8Array(65_536);
  ignoreRefusal(() => {
    for (let calls = 0; calls < CALLS_MAX; calls++) {
      if (recv(fd, buffer, MSG_DONTWAIT) <= 0 && (queued?.() ?? 0) <= 0) return;
    }
  });
}
