/**
 * A fresh socket of a transport, with its options set.
 *
 * @module
 */
import { attempt } from "./error.ts";
import { applySocketOptions, type SocketOptionValues } from "./options.ts";
import type { Address } from "./address.ts";
import type { Socket, SocketType } from "./socket.ts";
import type { SocketMaker } from "./transport.ts";

/** Throws a TypeError unless `type` names a type of socket. */
export function requireType(type: SocketType): void {
  if (type !== "stream" && type !== "seqpacket") {
    throw new TypeError(
      `Cannot use type: must be "stream" or "seqpacket": current value is ${type}`,
    );
  }
}

/** socket(2), then setsockopt(2) for each of `options`. The caller closes it. */
export function openSocket<A extends Address>(
  transport: SocketMaker<A>,
  type: SocketType,
  options: SocketOptionValues,
): Socket<A> {
  const socket = attempt("socket", undefined, () => transport.socket(type));
  try {
    applySocketOptions(socket, options);
    return socket;
  } catch (cause) {
    socket.close();
    throw cause;
  }
}
