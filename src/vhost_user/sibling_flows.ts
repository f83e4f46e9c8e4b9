/**
 * Connections between guests: where one stops, the other is told that they are reset.
 *
 * @module
 */
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
} from "../../ffi/abi/virtio_vsock.ts";
import { type Ends, type Header, resetOf, reversed } from "../virtio/packet.ts";

/** Connections that one guest has told another of: with one more, the oldest is forgotten. */
const FLOWS_MAX = 1_024;

/** Connections between guests, by what each of the two has told the other. */
export class SiblingFlows {
  /** By the CIDs, then by the ports: what resets it. */
  readonly #told: Map<string, Map<string, Header>> = new Map();

  /** `header` goes from one guest to another. */
  note(header: Header): void {
    const { op } = header;
    if (op === VIRTIO_VSOCK_OP_REQUEST || op === VIRTIO_VSOCK_OP_RESPONSE) {
      this.#add(resetOf(header));
    } else if (op === VIRTIO_VSOCK_OP_RST) {
      this.#delete(header);
      this.#delete(reversed(header));
    }
  }

  /** Forgets the guest `cid`: what resets all that others have heard of it, and it of them. */
  stop(cid: number): Header[] {
    const resets: Header[] = [];
    for (const [cids, flows] of this.#told) {
      if (!cids.split(" ").map(Number).includes(cid)) continue;
      resets.push(...flows.values());
      this.#told.delete(cids);
    }
    return resets;
  }

  #add(reset: Header): void {
    const cids = cidsOf(reset);
    const flows = this.#told.get(cids) ?? new Map<string, Header>();
    this.#told.set(cids, flows);
    flows.set(portsOf(reset), reset);
    if (flows.size <= FLOWS_MAX) return;
    const [oldest] = flows.keys();
    flows.delete(oldest!);
  }

  #delete(ends: Ends): void {
    this.#told.get(cidsOf(ends))?.delete(portsOf(ends));
  }
}

function cidsOf({ srcCid, dstCid }: Ends): string {
  return `${srcCid} ${dstCid}`;
}

function portsOf({ srcPort, dstPort, type }: Ends): string {
  return `${srcPort} ${dstPort} ${type}`;
}
