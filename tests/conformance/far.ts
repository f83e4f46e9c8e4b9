/**
 * The far end: sockets behind handles, driven by calls that can go through any channel.
 *
 * {@linkcode serve} runs where the far transport lives; {@linkcode Far} runs beside the cases. What
 * lies between is a function from a call to a promise: a plain call in one event loop, messages to
 * a Worker, lines to a guest.
 *
 * @module
 */
import { errnoName, SysError } from "../../ffi/errno.ts";
import type { VsockAddress } from "../../src/address.ts";
import type { Socket, SocketType } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";
import {
  accepted,
  connected,
  receive,
  receiveAll,
  type Received,
  receiveNext,
  receiveToEnd,
  sendAll,
} from "./verbs.ts";

/** One call on the way: numbers, strings, addresses and bytes only. */
export interface Call {
  /** Which socket; 0 is the far end itself. */
  readonly handle: number;
  /** A key of the table below. */
  readonly verb: string;
  /** Its arguments. */
  readonly args: readonly unknown[];
}

/** What comes back: a value, or an errno, or the text of any other error. */
export type Reply =
  | { readonly value: unknown }
  | { readonly op: string; readonly errno: number }
  | { readonly message: string };

/** Carries a call to where the far transport lives, and its reply back. */
export type Channel = (call: Call) => Promise<Reply>;

/** Closes all sockets of the far end. */
export const CLOSE_ALL: Call = { handle: 0, verb: "reset", args: [] };

/** Runs calls against `transport`. */
export function serve(transport: Transport): Channel {
  const sockets = new Map<number, Socket>();
  let last = 0;
  const add = (socket: Socket): number => (sockets.set(++last, socket), last);
  const run = async ({ handle, verb, args }: Call): Promise<unknown> => {
    if (verb === "cid") return transport.localCid;
    if (verb === "socket") return add(transport.socket(args[0] as SocketType));
    if (verb === "reset") return closeAll(sockets);
    const socket = sockets.get(handle);
    if (socket === undefined) throw new Error(`no far socket ${handle}`);
    if (verb === "accept") return add(await accepted(socket));
    const does = VERBS[verb as keyof typeof VERBS] as (s: Socket, ...a: unknown[]) => unknown;
    return await does(socket, ...args);
  };
  return async (call) => {
    try {
      return { value: await run(call) };
    } catch (error) {
      if (error instanceof SysError) return { op: error.op, errno: error.errno };
      return { message: `far ${call.verb}: ${error instanceof Error ? error.stack : error}` };
    }
  };
}

function closeAll(sockets: Map<number, Socket>): void {
  for (const socket of sockets.values()) socket.close();
  sockets.clear();
}

const VERBS = {
  bind: (s: Socket, address: VsockAddress): void => s.bind(address),
  listen: (s: Socket, backlog: number): void => s.listen(backlog),
  connect: (s: Socket, address: VsockAddress): Promise<void> => connected(s, address),
  send: (s: Socket, data: Uint8Array, flags = 0): number => s.send(data, flags),
  sendAll: (s: Socket, data: Uint8Array, flags = 0): Promise<void> => sendAll(s, data, flags),
  receive: (s: Socket, length: number, flags = 0): Received => receive(s, length, flags),
  receiveNext: (s: Socket, length: number, flags = 0): Promise<Received> =>
    receiveNext(s, length, flags),
  receiveAll: (s: Socket, length: number): Promise<Uint8Array> => receiveAll(s, length),
  receiveToEnd: (s: Socket): Promise<Uint8Array> => receiveToEnd(s),
  shutdown: (s: Socket, how: number): void => s.shutdown(how),
  close: (s: Socket): void => s.close(),
  setsockopt: (s: Socket, level: number, name: number, value: Uint8Array): void =>
    s.setsockopt(level, name, value),
  takeError: (s: Socket): number => s.takeError(),
  localAddress: (s: Socket): VsockAddress => s.localAddress(),
  remoteAddress: (s: Socket): VsockAddress => s.remoteAddress(),
  poll: (s: Socket, events: number): number => s.poll(events),
  wait: (s: Socket, events: number): Promise<number> => s.wait(events),
};

/** The verbs of a far socket: those above, as promises. */
type FarVerbs = {
  [V in keyof typeof VERBS]: (typeof VERBS)[V] extends (s: Socket, ...a: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

/** A socket at the far end. Its calls are those of `Socket` and `verbs.ts`, as promises. */
export interface FarSocket extends FarVerbs {
  /** Waits for a connection. */
  accept(): Promise<FarSocket>;
}

/** The end of a connection that may be elsewhere. */
export class Far {
  /** CID by which the near end reaches it. */
  readonly cid: number;
  readonly #channel: Channel;

  private constructor(cid: number, channel: Channel) {
    this.cid = cid;
    this.#channel = channel;
  }

  /** The far end behind `channel`. */
  static async open(channel: Channel): Promise<Far> {
    return new Far(await ask(channel, 0, "cid", []) as number, channel);
  }

  /** A new socket, closed when the case is over. */
  async socket(type: SocketType = "stream"): Promise<FarSocket> {
    return this.#wrap(await ask(this.#channel, 0, "socket", [type]) as number);
  }

  /** Closes all sockets made so far. */
  async reset(): Promise<void> {
    await ask(this.#channel, 0, "reset", []);
  }

  #wrap(handle: number): FarSocket {
    const channel = this.#channel;
    const verbs = Object.keys(VERBS).map((verb) => [
      verb,
      (...args: unknown[]): Promise<unknown> => ask(channel, handle, verb, args),
    ]);
    const accept = async (): Promise<FarSocket> =>
      this.#wrap(await ask(channel, handle, "accept", []) as number);
    return { ...Object.fromEntries(verbs) as FarVerbs, accept };
  }
}

async function ask(
  channel: Channel,
  handle: number,
  verb: string,
  args: readonly unknown[],
): Promise<unknown> {
  const reply = await channel({ handle, verb, args });
  if ("message" in reply) throw new Error(reply.message);
  if ("errno" in reply) throw new SysError(reply.op, errnoName(reply.errno) ?? reply.errno);
  return reply.value;
}
