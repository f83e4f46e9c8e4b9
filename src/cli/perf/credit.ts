/**
 * The socket buffer of either end.
 *
 * @module
 */
import { SocketOptions } from "../../options.ts";
import type { Socket } from "../../socket.ts";

/**
 * Sets the socket buffer to `bytes`, its bounds with it. Both ends need it: a transmitter's credit
 * is what the receiver grants, and on recent Linux at most its own buffer.
 */
export function setCredit(socket: Socket, bytes: number): void {
  const options = new SocketOptions(socket);
  options.bufferMinSize = Math.min(options.bufferMinSize, bytes);
  options.bufferMaxSize = bytes;
  options.bufferSize = bytes;
}
