/**
 * What send(2) costs the sender over AF_VSOCK: by copy, and with MSG_ZEROCOPY.
 *
 * @module
 */
import { strict as assert } from "node:assert";
import { MappedRegion } from "../ffi/memory.ts";
import type { Conn } from "../src/conn.ts";
import { connect } from "../src/connect.ts";
import { listen } from "../src/listen.ts";
import { openVsock } from "../src/kernel/transport.ts";
import { type Bench, median, type Round } from "./bench.ts";
import { requireLocalVsock } from "./kernel_here.ts";

const KIB = 1024;
const [BYTES, CREDIT, SENDS, PORT] = [512 * KIB, 1024 * KIB, 200, 1_300];

/** Hands all of `data` to the socket, which has room for it: how many milliseconds in send(2). */
type Send = (near: Conn, data: Uint8Array) => number;

function copy({ socket }: Conn, data: Uint8Array): number {
  const start = performance.now();
  const sent = socket.send(data, 0);
  const ms = performance.now() - start;
  assert.equal(sent, data.length);
  return ms;
}

function lend({ socket }: Conn, data: Uint8Array): number {
  const { zeroCopy } = socket;
  const start = performance.now();
  let sent = 0;
  while (sent < data.length) sent += zeroCopy!.send(data.subarray(sent), end);
  const ms = performance.now() - start;
  pending += sent;
  return ms;
}

/** Bytes that the kernel may still read. */
let pending = 0;

function end(bytes: number, copied: boolean): void {
  pending -= bytes;
  if (copied) throw new Error(`${bytes} bytes were copied after all`);
}

/** Microseconds in send(2) for 512 KiB, of each send. Throws unless all arrived. */
async function measure(send: Send): Promise<number[]> {
  const transport = openVsock();
  const options = { bufferSize: CREDIT };
  using listener = listen({ cid: transport.localCid, port: PORT }, { transport, options });
  using near = await connect({ cid: transport.localCid, port: PORT }, { transport, options });
  using far = await listener.accept();
  using region = new MappedRegion(BYTES);
  const data = region.lend(0, BYTES);
  data.forEach((_, i) => data[i] = i % 251);
  const got = new Uint8Array(BYTES);
  const times: number[] = [];
  for (let count = 0; count < SENDS; count++) {
    times.push(send(near, data) * 1_000);
    for (let have = 0; have < BYTES;) have += await far.read(got.subarray(have)) ?? BYTES;
    while (pending > 0) near.socket.zeroCopy!.reap(1_000);
    // What comes back has all credit with it, which Linux else gives when there is hardly any left.
    await far.write(got.subarray(0, 1));
    await near.read(got.subarray(0, 1));
  }
  assert.deepEqual(got, data);
  return times;
}

/** Sending by copy beside MSG_ZEROCOPY. */
export const kernelSend: Bench = {
  rounds: 3,
  prove(): Promise<void> {
    requireLocalVsock();
    return Promise.resolve();
  },
  async round(): Promise<Round> {
    const [copies, loans] = [await measure(copy), await measure(lend)];
    return {
      copy: median(copies),
      lend: median(loans),
      leastCopy: Math.min(...copies),
      leastLend: Math.min(...loans),
    };
  },
  rows: [{
    name: "kernel-send-512",
    what: "AF_VSOCK, time in send(2) of 512 KiB by copy",
    ours: "copy",
    peer: "lend",
    peerIs: "with MSG_ZEROCOPY",
    unit: "us",
    target: { atLeast: 5 },
    note: "both are ours, the median of 200 sends",
  }, {
    name: "kernel-send-512-least",
    what: "the same, the fastest of 200 sends",
    ours: "leastCopy",
    peer: "leastLend",
    peerIs: "with MSG_ZEROCOPY",
    unit: "us",
    note: "where one thread emulates all processors, the peer's work runs within many a send",
  }],
};
