/**
 * A near end whose peer is the case itself, packet by packet: what another machine may send.
 *
 * @module
 */
import { VIRTIO_VSOCK_OP_RESPONSE } from "../../ffi/abi/virtio_vsock.ts";
import type { VsockAddress } from "../../src/address.ts";
import { ManualClock } from "../../src/stack/clock.ts";
import { StackNode } from "../../src/stack/node.ts";
import { StackTransport } from "../../src/stack/transport.ts";
import type { Socket, SocketType } from "../../src/socket.ts";
import type { Header, Packet } from "../../src/virtio/packet.ts";
import { PagePayload } from "../../src/virtio/payload.ts";
import type { Near } from "./case.ts";

/** What a packet is, unless the case says otherwise. */
const PLAIN = { len: 0, type: 1, op: 0, flags: 0, bufAlloc: 262144, fwdCnt: 0 };

/** The other side of every connection. */
export interface Wire {
  /** A socket of the near end. */
  socket(type?: SocketType): Socket;
  /** Where the case pretends to be. */
  readonly peer: VsockAddress;
  /** Takes the packets that the near end has sent since the last call. */
  taken(): Header[];
  /** Sends a packet to a near port; what is left out is a stream's packet without payload. */
  deliver(dstPort: number, header: Partial<Header>, data?: Uint8Array): void;
  /** A near socket connected to the peer, whose answer has these fields. */
  connected(header?: Partial<Header>, type?: SocketType): { socket: Socket; port: number };
  /** Moves the clock. */
  advance(ms: number): void;
}

/** A wire over the loopback's own stack, which gives out ports from `firstPort` on. */
export function openWire(near: Near, firstPort = 40_000): Wire {
  const clock = new ManualClock();
  const node = new StackNode({ cids: [3], firstPort, clock });
  const peer = { cid: 3, port: 5000 };
  const sent: Header[] = [];
  node.useWire({
    allocate: (data) => new PagePayload(data),
    send: (packet) => void sent.push(packet),
  });
  const transport = new StackTransport("loopback", node);
  const wire: Wire = {
    peer,
    socket: (type = "stream") => near.keep(transport.socket(type)),
    taken: () => sent.splice(0),
    deliver(dstPort, header, data) {
      const packet: Packet = {
        ...PLAIN,
        ...{ srcCid: 3, srcPort: peer.port, dstCid: 3, dstPort, len: data?.length ?? 0 },
        ...header,
        payload: data === undefined ? undefined : new PagePayload(data),
      };
      node.deliver(packet);
    },
    connected(header, type) {
      const socket = wire.socket(type);
      socket.connect(peer);
      const { port } = socket.localAddress();
      wire.taken();
      const kind = { op: VIRTIO_VSOCK_OP_RESPONSE, type: type === "seqpacket" ? 2 : 1 };
      wire.deliver(port, { ...kind, ...header });
      return { socket, port };
    },
    advance: (ms) => clock.advance(ms),
  };
  return wire;
}
