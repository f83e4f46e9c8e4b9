/**
 * Messages from one connection to another, both ways.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { VsockError } from "../../error.ts";
import { whenGone } from "../serving/gone.ts";
import type { Flow } from "../serving/relay.ts";

/** As `relay()` does with bytes, with messages, their bounds and the ends of their records. */
export async function relayMessages(
  near: Conn<Address>,
  far: Conn<Address>,
  out: Flow,
  back: Flow,
): Promise<Error | undefined> {
  let failure: Error | undefined;
  let ways = 2;
  const over = new AbortController();
  const way = async (from: Conn<Address>, to: Conn<Address>, flow: Flow): Promise<void> => {
    try {
      for (let next; (next = await from.receiveMessage()) !== null;) {
        const { data, endOfRecord } = next;
        await to.sendMessage(data, { endOfRecord });
        flow.bytes += data.length;
      }
      await to.closeWrite();
    } catch (error) {
      if (error instanceof VsockError && error.code === "EPIPE") await from.closeRead();
      else {
        failure ??= error as Error;
        for (const conn of [near, far]) conn.close();
      }
    }
    if (--ways === 0) over.abort();
    else await whenGone(from.socket, over.signal, () => to.closeRead());
  };
  await Promise.all([way(near, far, out), way(far, near, back)]);
  for (const conn of [near, far]) conn.close();
  return failure;
}
