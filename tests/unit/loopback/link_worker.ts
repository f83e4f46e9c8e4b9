/**
 * The other end of a link, in a Worker: does what `workerData.role` says.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { Link } from "../../../src/loopback/link.ts";
import type { LinkEnd } from "../../../src/loopback/link_memory.ts";
import { VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RST } from "../../../ffi/abi/virtio_vsock.ts";
import type { Packet } from "../../../src/virtio/packet.ts";
import { die, Lengths, packet, patternOf, sendData, sumOf, turn } from "./link_pair.ts";

/** What a test starts this script with. */
export interface LinkWorkerData {
  readonly end: LinkEnd;
  readonly role: keyof typeof ROLES;
  readonly packets: number;
  readonly seed: number;
}

const ROLES = {
  /** Sends packets of random lengths, then one without bytes that has their sum as `fwdCnt`. */
  send({ end, packets, seed }: LinkWorkerData): void {
    using link = new Link(end, { onDead: die });
    const lengths = new Lengths(seed);
    let sum = 0;
    for (let i = 0; i < packets; i++) {
      const bytes = patternOf(i, lengths.next());
      sum = sumOf(bytes, sum);
      while (!sendData(link, bytes, { fwdCnt: i })) turn(link, () => {});
    }
    link.send(packet({ fwdCnt: sum }));
    let done = false;
    while (!done) turn(link, () => done = true);
    parentPort!.postMessage(link.freeBlocks);
  },

  /** Sends one byte at a time, each as soon as the receiver says that it took the one before. */
  hammer({ end }: LinkWorkerData): void {
    using link = new Link(end, { onDead: die });
    link.send(packet({ op: VIRTIO_VSOCK_OP_REQUEST }));
    let [sent, taken, over] = [0, 0, false];
    const take = ({ op, fwdCnt }: Packet): void => {
      over ||= op === VIRTIO_VSOCK_OP_RST;
      taken = fwdCnt;
    };
    while (!over) {
      if (sent > taken) turn(link, take);
      else if (sendData(link, Uint8Array.of(1))) sent++;
    }
    parentPort!.postMessage("done");
  },

  /** Opens its end and stays, alive by its event loop, until it is terminated. */
  stay({ end }: LinkWorkerData): void {
    const link = new Link(end);
    link.send(packet());
    parentPort!.on("message", () => link.close());
  },
};

const data = workerData as LinkWorkerData;
ROLES[data.role](data);
