/** The device serves a guest as QEMU brings it. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { Machine } from "./machine.ts";

test("smoke", { timeout: 20_000 }, async () => {
  const socketPath = `/tmp/vsockit-${crypto.randomUUID()}.sock`;
  using device = createVsockDevice({ socketPath, guestCid: 42, onFault: (e) => console.log(e) });
  using machine = await Machine.start({ socketPath });
  assertEquals(machine.cid, 42);
  using listener = listen({ cid: 2, port: 1024 }, { transport: device });
  using conn = await connect({ cid: 2, port: 1024 }, { transport: machine.transport });
  using peer = await listener.accept();
  await conn.write(new TextEncoder().encode("hello"));
  const buffer = new Uint8Array(100);
  assertEquals(await peer.read(buffer), 5);
  await peer.write(new Uint8Array(100));
  assertEquals(await conn.read(buffer), 100);
  assertEquals(machine.guest.faults, []);
});
