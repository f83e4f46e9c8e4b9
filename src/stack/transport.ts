/**
 * A transport over a stack of this thread.
 *
 * @module
 */
import { requireType } from "../arguments.ts";
import type { Socket, SocketType } from "../socket.ts";
import type { Capabilities, Transport } from "../transport.ts";
import type { StackNode } from "./node.ts";
import { StackSocket } from "./socket.ts";

/** Makes the sockets of one {@linkcode StackNode}. */
export class StackTransport implements Transport {
  readonly name: string;
  readonly capabilities: Capabilities;
  readonly localCid: number;
  readonly #node: StackNode;

  /** Over `node`, which it shares with nobody. */
  constructor(name: string, node: StackNode) {
    this.name = name;
    this.#node = node;
    this.localCid = node.cids[0]!;
    this.capabilities = { seqpacket: true, mapRx: true, waitSync: node.blocks };
  }

  /** A new socket of this end. */
  socket(type: SocketType): Socket {
    requireType(type);
    return new StackSocket(this.#node, type);
  }
}
