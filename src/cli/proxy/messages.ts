/**
 * Messages from one connection to another, both ways.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { isVsockError } from "../../error.ts";
import { type Direction, type Flow, relayBoth } from "../serving/relay.ts";

/** As `relayBytes()`, with messages, their bounds and the ends of their records. */
export function relayMessages(
  near: Conn<Address>,
  far: Conn<Address>,
  out: Flow,
  back: Flow,
): Promise<Error | undefined> {
  const direction = (from: Conn<Address>, to: Conn<Address>, flow: Flow): Direction => ({
    from: from.socket,
    pass: () => passOn(from, to, flow),
    stopOther: () => to.closeRead(),
  });
  return relayBoth([direction(near, far, out), direction(far, near, back)]);
}

async function passOn(from: Conn<Address>, to: Conn<Address>, flow: Flow): Promise<void> {
  try {
    for (let next; (next = await from.receiveMessage()) !== null;) {
      const { data, endOfRecord } = next;
      await to.sendMessage(data, { endOfRecord });
      flow.bytes += data.length;
    }
    await to.closeWrite();
  } catch (error) {
    if (!isVsockError(error, "EPIPE")) throw error;
    await from.closeRead();
  }
}
