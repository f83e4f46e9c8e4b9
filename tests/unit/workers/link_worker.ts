/**
 * The other end of a link, in a Worker: does what `workerData.role` says.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { type Link, openLink } from "../../../src/loopback/link.ts";
import type { LinkEnd } from "../../../src/loopback/link_memory.ts";
import { VIRTIO_VSOCK_OP_REQUEST } from "../../../ffi/abi/virtio_vsock.ts";
import { Lengths, packet, patternOf, sendData, sumOf } from "../link_pair.ts";

/** What a test starts this script with. */
export interface LinkWorkerData {
  readonly end: LinkEnd;
  readonly role: keyof typeof ROLES;
  readonly packets: number;
  readonly seed: number;
}

const WINDOW = 64;
const WAIT_MS = 30_000;

/** Waits for something to pump, and pumps it. */
function turn(link: Link, deliver: Parameters<Link["pump"]>[0]): void {
  if (!link.waitSync(WAIT_MS)) throw new Error("nothing arrived");
  link.pump(deliver);
}

const ROLES = {
  /** Sends packets of random lengths, then one without bytes that has their sum as `fwdCnt`. */
  send({ end, packets, seed }: LinkWorkerData): void {
    using link = openLink(end);
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

  /** Sends one byte at a time, never more than a window ahead of what the receiver took. */
  hammer({ end, packets }: LinkWorkerData): void {
    using link = openLink(end);
    link.send(packet({ op: VIRTIO_VSOCK_OP_REQUEST }));
    let taken = 0;
    const take = ({ fwdCnt }: { fwdCnt: number }): void => {
      taken = fwdCnt;
    };
    const byte = Uint8Array.of(1);
    for (let sent = 0; sent < packets; sent++) {
      link.pump(take);
      while (sent - taken >= WINDOW) turn(link, take);
      while (!sendData(link, byte)) turn(link, take);
    }
    while (taken < packets) turn(link, take);
    parentPort!.postMessage("done");
  },

  /** Opens its end and stays, alive by its event loop, until it is terminated. */
  stay({ end }: LinkWorkerData): void {
    const link = openLink(end);
    link.send(packet());
    parentPort!.on("message", () => link.close());
  },
};

const data = workerData as LinkWorkerData;
ROLES[data.role](data);
