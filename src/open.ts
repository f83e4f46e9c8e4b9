/**
 * A fresh socket of a transport, with its options set.
 *
 * @module
 */
import { type Address, requireAddress } from "./address.ts";
import { parseAddress } from "./address_text.ts";
import { requireType } from "./arguments.ts";
import { attempt } from "./error.ts";
import { applySocketOptions, type SocketOptionValues } from "./options.ts";
import { shown } from "./shown.ts";
import type { Socket, SocketType } from "./socket.ts";
import type { SocketMaker } from "./transport.ts";

/** Which socket a caller asks for. */
export interface Wanted<A extends Address> {
  /** Checked for type and range. */
  readonly address: A;
  /** `"stream"` where nothing says otherwise. */
  readonly type: SocketType;
}

/**
 * What `where`, an address or a text of one, and `type` ask for.
 *
 * @throws {TypeError} If it is no address, or the text says another type than `type`.
 * @throws {RangeError} If a number in it is out of range.
 */
export function readWanted<A extends Address>(
  where: A | string,
  type: SocketType | undefined,
): Wanted<A> {
  if (type !== undefined) requireType(type);
  if (typeof where !== "string") {
    return { address: requireAddress(where), type: type ?? "stream" };
  }
  const parsed = parseAddress(where);
  if (type !== undefined && type !== (parsed.type ?? type)) {
    throw new TypeError(
      `Cannot use type: must be "${parsed.type}" as in the address: ` +
        `current value is ${shown(type)}`,
    );
  }
  return { address: parsed.address as A, type: type ?? parsed.type ?? "stream" };
}

/** socket(2), then setsockopt(2) for each of `defaults` and of `options`. The caller closes it. */
export function openSocket<A extends Address>(
  transport: SocketMaker<A>,
  { address, type }: Wanted<A>,
  defaults: SocketOptionValues,
  options: SocketOptionValues,
): Socket<A> {
  const socket = attempt("socket", address, () => transport.socket(type));
  try {
    applySocketOptions(socket, defaults);
    applySocketOptions(socket, options);
    return socket;
  } catch (cause) {
    socket.close();
    throw cause;
  }
}
