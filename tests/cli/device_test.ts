/** `vsockit device`, between a guest that is brought natively and processes of the host. */
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Address, HybridAddress, VsockAddress } from "../../src/address.ts";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { openHybrid } from "../../src/hybrid/transport.ts";
import { listen } from "../../src/listen.ts";
import type { Machine } from "../device/machine.ts";
import { readToEnd, sha256 } from "../helpers/pair.ts";
import { until } from "../helpers/until.ts";
import { CID, DeviceProcess } from "./device_process.ts";

const WAIT = { timeout: 60_000 };
const PORT = 1024;
const BIG: Uint8Array = new Uint8Array(5_000_000).map((_, index) => (index * 31) ^ (index >> 9));

type AnyConn = Pick<Conn<Address>, "read" | "write" | "closeWrite">;

/** Ends each way on its own, and moves much. */
async function halfCloses(one: AnyConn, other: AnyConn): Promise<void> {
  for (const [from, to] of [[one, other], [other, one]] as const) {
    const [got] = await Promise.all([
      readToEnd(to),
      from.write(BIG).then(() => from.closeWrite()),
    ]);
    assertEquals(sha256(got), sha256(BIG));
  }
}

/** Opens a connection from the host to the guest. */
async function intoGuest(
  device: DeviceProcess,
  machine: Machine,
): Promise<[Conn<HybridAddress>, Conn<VsockAddress>]> {
  using listener = listen({ cid: CID, port: PORT }, { transport: machine.transport });
  const near = await connect({ path: device.udsPath, port: PORT });
  return [near, await listener.accept()];
}

test("vsockit device has processes of the host reach the guest", WAIT, async () => {
  using device = await DeviceProcess.start();
  using machine = await device.boot();
  const [near, far] = await intoGuest(device, machine);
  assertEquals(far.remoteAddr.cid, 2);
  assertEquals(near.localAddr.port, far.remoteAddr.port, "the port that OK told");
  const { id, cid, port, from } = await device.event("open");
  assertEquals([id, cid, port, from], [1, CID, PORT, "host"]);
  await halfCloses(near, far);
  const { toGuest, fromGuest, reason } = await device.event("close");
  assertEquals([toGuest, fromGuest, reason], [BIG.length, BIG.length, undefined]);
  near.close();
  far.close();
  assertEquals(machine.guest.faults, []);
});

test("vsockit device is a VMM to openHybrid(), both ways", WAIT, async () => {
  using device = await DeviceProcess.start();
  using machine = await device.boot();
  const host = openHybrid(device.udsPath, { cid: CID });
  using agent = listen({ cid: CID, port: PORT }, { transport: machine.transport });
  using near = await connect({ cid: CID, port: PORT }, { transport: host });
  using far = await agent.accept();
  await halfCloses(near, far);
  using server = listen({ cid: 2, port: 5000 }, { transport: host });
  using guest = await connect({ cid: 2, port: 5000 }, { transport: machine.transport });
  using served = await server.accept();
  await halfCloses(guest, served);
  assertEquals(machine.guest.faults, []);
});

test("vsockit device asks for a path at each connect of the guest", WAIT, async () => {
  using device = await DeviceProcess.start();
  using machine = await device.boot();
  const { transport } = machine;
  const dial = (): Promise<Conn> => connect({ cid: 2, port: 5000 }, { transport });
  await assertRejects(dial, Error, "ECONNRESET");
  const { port, from, reason } = await device.event("refuse");
  assertEquals([port, from], [5000, "guest"]);
  assert(reason.includes("ENOENT"), reason);
  const path = `${device.udsPath}_5000`;
  {
    using listener = listen({ path });
    const guests = await Promise.all([dial(), dial(), dial()]);
    for (const [index, guest] of guests.entries()) {
      await guest.write(Uint8Array.of(index));
      using host = await listener.accept();
      await host.write(new Uint8Array(1 + index));
      const p = new Uint8Array(8);
      await host.read(p);
      assertEquals(p[0], index, "each has a connection of its own");
      assertEquals(await guest.read(new Uint8Array(8)), 1 + index);
      guest.close();
    }
  }
  await assertRejects(dial, Error, "ECONNRESET");
  assertEquals(machine.guest.faults, []);
});

test(
  "vsockit device refuses a guest's messages, and ports where nobody listens",
  WAIT,
  async () => {
    using device = await DeviceProcess.start();
    using machine = await device.boot();
    using _listener = listen({ path: `${device.udsPath}_5000` });
    const messages = { transport: machine.transport, type: "seqpacket" } as const;
    await assertRejects(() => connect({ cid: 2, port: 5000 }, messages), Error, "ECONNRESET");
    assertEquals((await device.event("refuse")).from, "guest");
    await assertRejects(() => connect({ path: device.udsPath, port: 9 }), Error, "ECONNRESET");
    const { port, from } = await device.event("refuse");
    assertEquals([port, from], [9, "host"]);
    for (const line of ["GET / HTTP/1.1\n", "CONNECT 4294967296\n", "x".repeat(100)]) {
      using conn = await connect({ path: device.udsPath });
      await conn.write(new TextEncoder().encode(line));
      assertEquals(await conn.read(new Uint8Array(8)).catch(() => null), null);
    }
  },
);

test(
  "vsockit device keeps nothing of a guest that resets at once, or is refused",
  WAIT,
  async () => {
    using device = await DeviceProcess.start();
    using machine = await device.boot();
    using listener = listen({ path: `${device.udsPath}_5000` });
    const comeAndGo = async (): Promise<void> => {
      const socket = machine.transport.socket("stream");
      socket.connect({ cid: 2, port: 5000 });
      socket.close(); // the answer finds nobody, which is answered by RST
      using host = await listener.accept();
      assertEquals(await host.read(new Uint8Array(8)), null);
      host.close();
      await device.event("close");
      const nowhere = { cid: 2, port: 5001 };
      await assertRejects(() => connect(nowhere, { transport: machine.transport }));
    };
    await comeAndGo();
    const before = device.descriptors; // the runtime may want some more for itself
    for (let count = 0; count < 40; count++) await comeAndGo();
    await until(
      () => device.descriptors < before + 20,
      () => `${device.descriptors}, after ${before}`,
    );
    assertEquals(machine.guest.faults, []);
  },
);

test("vsockit device tells of a guest's refusals once a second", WAIT, async () => {
  using device = await DeviceProcess.start();
  using machine = await device.boot();
  const { transport } = machine;
  for (let port = 5000; port < 5100; port++) {
    await assertRejects(() => connect({ cid: 2, port }, { transport }), Error, "ECONNRESET");
  }
  assertEquals((await device.event("refuse")).port, 5000);
  const counts: number[] = [];
  for (let left = 99; left > 0; left -= counts.at(-1)!) {
    counts.push((await device.event("refuse")).count ?? 1);
  }
  assert(counts.length < 10, `${counts}`);
});

test("vsockit device tells the guest that a host reads no more", WAIT, async () => {
  using device = await DeviceProcess.start();
  using machine = await device.boot();
  const [near, far] = await intoGuest(device, machine);
  await far.write(new Uint8Array(100));
  await near.read(new Uint8Array(1));
  near.close();
  await assertRejects(
    async () => {
      for (;;) await far.write(new Uint8Array(100_000));
    },
    Error,
    "EPIPE",
  );
  far.close();
  await device.event("close");
});

test("vsockit device ends connections with the guest, and serves the next", WAIT, async () => {
  using device = await DeviceProcess.start();
  const machine = await device.boot();
  const [near, far] = await intoGuest(device, machine);
  await far.write(new Uint8Array(10));
  await near.read(new Uint8Array(10));
  machine.close();
  assertEquals(await near.read(new Uint8Array(1)), null);
  near.close();
  await device.event("down");
  assert((await device.event("close")).reason?.includes("ECONNRESET"));
  await assertRejects(() => connect({ path: device.udsPath, port: PORT }), Error, "ECONNRESET");
  using next = await device.boot();
  const ends = await intoGuest(device, next);
  await halfCloses(...ends);
  for (const end of ends) end.close();
});
