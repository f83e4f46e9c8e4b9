/** What a guest that stops has told others of, which they are to hear the end of. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../../ffi/abi/virtio_vsock.ts";
import { SiblingFlows } from "../../../src/vhost_user/sibling_flows.ts";
import { type Ends, type Header, resetOf, reversed } from "../../../src/virtio/packet.ts";

const FLOWS_MAX = 1_024;
const [A, B, C] = [3, 4, 5];

/** From port 9 of `srcCid`. */
function ends(srcCid: number, dstCid: number, dstPort = 1): Ends {
  return { srcCid, srcPort: 9, dstCid, dstPort, type: VIRTIO_VSOCK_TYPE_STREAM };
}

function note(flows: SiblingFlows, op: number, from: Ends): void {
  flows.note({ ...resetOf(from), op });
}

/** Flows in which A has connected to B and to C, and both have answered. */
function connected(): SiblingFlows {
  const flows = new SiblingFlows();
  for (const to of [B, C]) {
    note(flows, VIRTIO_VSOCK_OP_REQUEST, ends(A, to));
    note(flows, VIRTIO_VSOCK_OP_RESPONSE, reversed(ends(A, to)));
    note(flows, VIRTIO_VSOCK_OP_RW, ends(A, to, 2));
  }
  return flows;
}

/** What resets a connection of A with `to` at both of its ends. */
function resets(to: number): Header[] {
  return [resetOf(ends(A, to)), resetOf(reversed(ends(A, to)))];
}

test("SiblingFlows.stop() gives what resets a guest's connections at both of their ends, once", () => {
  const flows = connected();
  assertEquals(flows.stop(A), [...resets(B), ...resets(C)]);
  for (const cid of [A, B, C]) assertEquals(flows.stop(cid), []);
});

test("SiblingFlows.stop() leaves the connections of others", () => {
  const flows = connected();
  assertEquals(flows.stop(B), resets(B));
  assertEquals(flows.stop(A), resets(C));
});

test("SiblingFlows.note() forgets a connection that either of its ends resets, and no other", () => {
  for (const from of [ends(A, B), reversed(ends(A, B))]) {
    const [flows, others] = [connected(), connected()];
    note(flows, VIRTIO_VSOCK_OP_RST, from);
    note(others, VIRTIO_VSOCK_OP_RST, { ...from, type: from.type + 1 });
    assertEquals([flows.stop(B).length, others.stop(B).length], [0, 2]);
    assertEquals(flows.stop(A), resets(C));
  }
});

test("SiblingFlows.note() forgets the oldest where one guest tells another of more than 1024", () => {
  const flows = new SiblingFlows();
  for (let port = 0; port <= FLOWS_MAX; port++) {
    note(flows, VIRTIO_VSOCK_OP_REQUEST, ends(A, B, port));
  }
  note(flows, VIRTIO_VSOCK_OP_REQUEST, ends(A, C));
  const ports = flows.stop(A).map(({ dstPort }) => dstPort);
  assertEquals([ports.length, ports[0], ports.at(-2)], [FLOWS_MAX + 1, 1, FLOWS_MAX]);
});
