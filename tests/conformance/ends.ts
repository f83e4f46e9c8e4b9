/**
 * The near and the far end as most transports make them, and the pair of the two.
 *
 * @module
 */
import type { VsockAddress } from "../../src/address.ts";
import type { Socket, SocketType } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";
import type { Header } from "../../src/virtio/packet.ts";
import type { Near, Pair, Silent } from "./case.ts";
import { type Channel, Far } from "./far.ts";

/** What a pair is made of; what a transport lacks is left out. */
export interface Parts {
  /** Makes the near sockets. */
  readonly transport: Transport;
  /** Reaches the far end. */
  readonly channel: Channel;
  /** Makes sockets whose packets nobody answers, and where they go. */
  readonly silent?: { readonly transport: Transport; readonly address: VsockAddress };
  /** An address that no transport reaches. */
  readonly nowhere?: VsockAddress;
  /** Every packet is pushed to it. */
  readonly packets?: Header[];
  /** Kills the far end. */
  readonly lose?: () => Promise<void>;
  /** Moves the transport's clock. @default {real time} */
  readonly elapse?: (ms: number) => Promise<void>;
  /** Ends what is not a socket. */
  readonly close?: () => Promise<void>;
}

/** A pair of ends from its parts. */
export async function openPair(parts: Parts): Promise<Pair> {
  const near = new LocalNear(parts);
  const far = await Far.open(parts.channel);
  return {
    near,
    far,
    async reset() {
      near.reset();
      if (!near.lost) await far.reset();
      return !near.lost;
    },
    async close() {
      near.reset(); // what a case that is cut off waits for
      await parts.close?.();
    },
  };
}

class LocalNear implements Near {
  readonly transport: Transport;
  readonly cid: number;
  lost = false;
  readonly #parts: Parts;
  #things: Disposable[] = [];
  #port = 20_000 + Math.floor(Math.random() * 10_000);

  constructor(parts: Parts) {
    this.transport = parts.transport;
    this.cid = parts.transport.localCid;
    this.#parts = parts;
  }

  get nowhere(): VsockAddress {
    return present("nowhere", this.#parts.nowhere);
  }

  get packets(): readonly Header[] {
    return present("tap", this.#parts.packets);
  }

  socket(type: SocketType = "stream"): Socket {
    return this.keep(this.transport.socket(type));
  }

  silent(): Silent {
    const { transport, address } = present("silence", this.#parts.silent);
    return { socket: this.keep(transport.socket("stream")), transport, address };
  }

  keep<T extends Disposable>(thing: T): T {
    this.#things.push(thing);
    return thing;
  }

  port(): number {
    return this.#port++;
  }

  async losePeer(): Promise<void> {
    this.lost = true;
    await present("loss", this.#parts.lose)();
  }

  elapse(ms: number): Promise<void> {
    const { elapse = realTime } = this.#parts;
    return elapse(ms);
  }

  reset(): void {
    for (const thing of this.#things.splice(0).reverse()) thing[Symbol.dispose]();
  }
}

function realTime(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function present<T>(need: string, part: T | undefined): T {
  if (part === undefined) throw new TypeError(`Cannot run a case: must name its need: ${need}`);
  return part;
}
