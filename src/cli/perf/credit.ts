/**
 * The socket buffer of either end.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import { SocketOptions } from "../../options.ts";
import type { Socket } from "../../socket.ts";
import type { Mode } from "./plan.ts";

/**
 * Sets the socket buffer to `bytes`, its bounds with it, and what `mode` needs. Both ends need it:
 * a transmitter's credit is what the receiver grants, and on recent Linux at most its own buffer.
 */
export function setCredit(socket: Socket<Address>, bytes: number, mode: Mode): void {
  const options = new SocketOptions(socket);
  options.bufferMinSize = Math.min(options.bufferMinSize, bytes);
  options.bufferMaxSize = bytes;
  options.bufferSize = bytes;
  if (mode !== "copy") options.zeroCopyReceive = true; // possible before connect(2) only
}
