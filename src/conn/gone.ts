/**
 * Whether a peer that sends no more has closed altogether.
 *
 * @module
 */
import { POLLHUP } from "../../ffi/abi/poll.ts";
import { SysError } from "../../ffi/errno.ts";
import { VsockError } from "../error.ts";
import type { AnySocket } from "../socket.ts";
import { orAborted, sleepUnheld } from "../wait/waiting.ts";
import { isRead } from "./recv.ts";

const LOOK_MS = 200;

/**
 * Resolves once the peer, which sends no more, does not read either; over TCP only a reset tells.
 * Rejects with the reason of `signal`. Whatever else is awaited has to keep the process alive.
 */
export async function peerGone(socket: AnySocket, signal: AbortSignal): Promise<void> {
  if (!("cid" in socket.localAddress())) return void await socket.wait(POLLHUP, signal);
  // poll(2) of AF_VSOCK does not tell while this end sends.
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
