/**
 * Whether a peer that sends no more has closed altogether.
 *
 * @module
 */
import { POLLHUP } from "../../../ffi/abi/poll.ts";
import { SysError } from "../../../ffi/errno.ts";
import { VsockError } from "../../error.ts";
import type { AnySocket } from "../../socket.ts";
import { orAborted, sleepUnheld } from "../../wait/waiting.ts";

const LOOK_MS = 200;
const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * Resolves once the peer, which sends no more, does not read either; over TCP only a reset tells.
 * Rejects with the reason of `signal`. Whatever else is awaited has to keep the process alive.
 */
export async function peerGone(socket: AnySocket, signal: AbortSignal): Promise<void> {
  if (!("cid" in socket.localAddress())) return void await socket.wait(POLLHUP, signal);
  // poll(2) of AF_VSOCK does not tell while this end sends; a send of nothing fails then.
  while (isRead(socket)) await orAborted(sleepUnheld(LOOK_MS), signal);
}

/** Calls `stop` once the peer of `socket`, which sends no more, is gone; never after `signal`. */
export async function whenGone(
  socket: AnySocket,
  signal: AbortSignal,
  stop: () => void | Promise<void>,
): Promise<void> {
  try {
    await peerGone(socket, signal);
    await stop();
  } catch (error) {
    // A socket may be closed meanwhile.
    if (signal.aborted || error instanceof SysError || error instanceof VsockError) return;
    throw error;
  }
}

/** Whether the peer of a socket of AF_VSOCK, that may send, still reads. */
function isRead(socket: AnySocket): boolean {
  try {
    socket.send(NOTHING, 0);
    return true;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}
