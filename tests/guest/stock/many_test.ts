/** Very many connections of the kernel at a time. */
import "../../vm/in_guest.ts";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import type { VsockAddress } from "../../../src/address.ts";
import type { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { openVsock } from "../../../src/kernel/transport.ts";
import { listen } from "../../../src/listen.ts";

const transport = openVsock();
const CONNECTIONS = 10_000;
/** How many connect at a time: the backlog is as long. */
const AT_ONCE = 100;

test("connect() holds 10,000 connections open, each with a pending read that its bytes end", {
  timeout: 600_000,
}, async () => {
  const address = { cid: 1, port: VMADDR_PORT_ANY };
  using listener = listen(address, { transport, backlog: AT_ONCE });
  const { port } = listener.addr;
  const [near, far]: [Conn<VsockAddress>[], Conn<VsockAddress>[]] = [[], []];
  try {
    while (near.length < CONNECTIONS) {
      const some = Array.from({ length: AT_ONCE }, () => connect({ cid: 1, port }, { transport }));
      for (let count = 0; count < AT_ONCE; count++) far.push(await listener.accept());
      near.push(...await Promise.all(some));
    }
    const byPort = new Map(far.map((conn) => [conn.remoteAddr.port, conn]));
    assertEquals(byPort.size, CONNECTIONS);
    const buffers = near.map(() => new Uint8Array(8));
    const reads = near.map((conn, index) => conn.read(buffers[index]!));
    // Backwards, so that nobody is served because of the order alone.
    for (let index = CONNECTIONS - 1; index >= 0; index -= 97) {
      const { port } = near[index]!.localAddr;
      await byPort.get(port)!.write(Uint8Array.of(index & 0xff, index >> 8));
      assertEquals(await reads[index], 2);
      assertEquals(buffers[index]!.subarray(0, 2), Uint8Array.of(index & 0xff, index >> 8));
    }
    for (const conn of far) conn.close();
    const ends = await Promise.all(reads);
    assertEquals(new Set(ends), new Set([2, null]));
  } finally {
    for (const conn of [...near, ...far]) conn.close();
  }
});
