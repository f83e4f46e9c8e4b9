import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { POLLIN, POLLNVAL } from "../../../ffi/abi/poll.ts";
import { VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_SHUTDOWN } from "../../../ffi/abi/virtio_vsock.ts";
import { SysError } from "../../../ffi/errno.ts";
import { createLoopbackLink, openLoopback } from "../../../src/loopback/mod.ts";
import type { Socket } from "../../../src/socket.ts";

/** The ops that a host sends where its tap closes `far` in the midst of `call`, by what came. */
function closedMeanwhile(call: (far: Socket) => void): number[] {
  const accepted: Socket[] = [];
  const sent: number[] = [];
  const [end, other] = createLoopbackLink();
  using host = openLoopback(end, {
    tap({ op, srcCid }) {
      if (srcCid === 2) sent.push(op);
      else if (op === VIRTIO_VSOCK_OP_RW) accepted[0]?.close();
    },
  });
  using guest = openLoopback(other);
  using listener = host.socket("stream");
  listener.bind({ cid: 2, port: 1024 });
  listener.listen(0);
  using near = guest.socket("stream");
  near.connect({ cid: 2, port: 1024 });
  accepted.push(listener.accept()!);
  near.poll(0);
  near.send(new Uint8Array(10), 0);
  sent.length = 0;
  call(accepted[0]!);
  return sent;
}

test("close() of a socket that a tap closes meanwhile says goodbye once", () => {
  assertEquals(closedMeanwhile((far) => far.close()), [VIRTIO_VSOCK_OP_SHUTDOWN]);
});

test("calls of a socket that a tap closes meanwhile are those of a closed one", () => {
  const calls: Record<string, (far: Socket) => unknown> = {
    send: (far) => far.send(new Uint8Array(1), 0),
    recv: (far) => far.recv(new Uint8Array(1), 0),
    shutdown: (far) => far.shutdown(1),
    remoteAddress: (far) => far.remoteAddress(),
  };
  for (const [name, call] of Object.entries(calls)) {
    const sent = closedMeanwhile((far) => {
      assertEquals(assertThrows(() => call(far), SysError, undefined, name).code, "EBADF");
    });
    assertEquals(sent, [VIRTIO_VSOCK_OP_SHUTDOWN], name);
  }
  closedMeanwhile((far) => assertEquals(far.poll(POLLIN), POLLNVAL));
});
