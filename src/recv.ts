/**
 * recv(2) on a socket that was connected once.
 *
 * @module
 */
import { SysError } from "../ffi/errno.ts";
import type { MessageFlags, Socket } from "./socket.ts";

/**
 * {@linkcode Socket.recv}, with ENOTCONN as the end of stream that it is: Linux forgets that the
 * connection is over when this end is shut down after the peer has closed (`vsock_shutdown()` in
 * net/vmw_vsock/af_vsock.c clears SOCK_DONE), and whoever reads to the end cannot know.
 */
export function recvConnected(
  socket: Socket,
  buffer: Uint8Array,
  flags: number,
  out?: MessageFlags,
): number {
  try {
    return socket.recv(buffer, flags, out);
  } catch (error) {
    if (!(error instanceof SysError) || error.code !== "ENOTCONN") throw error;
    if (out !== undefined) out.flags = 0;
    return 0;
  }
}
