/** Whatever a front end says, the device hangs up, keeps nothing, and serves the next one. */
import { after, before, test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import { exchange, warmUp } from "./exchange.ts";
import { leavesNothing } from "./footprint.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";
import { MISBEHAVIOUR } from "./misbehaviour.ts";

const TIMEOUT_MS = 60_000;
const socketPath = freshPath();
let device: VsockDevice;
let faults: string[] = [];

before(async () => {
  device = createVsockDevice({
    socketPath,
    guestCid: GUEST_CID,
    onFault: ({ name, message }) => faults.push(`${name}: ${message}`),
  });
  await warmUp(device);
});

after(() => device.close());

/** The device serves a guest. */
async function serves(): Promise<void> {
  using machine = await Machine.start({ socketPath });
  await exchange(device, machine);
  assertEquals(machine.guest.faults, []);
}

for (const { name, fault, run } of MISBEHAVIOUR) {
  test(`VsockDevice hangs up on ${name}`, { timeout: TIMEOUT_MS }, async () => {
    await leavesNothing(async () => {
      faults = [];
      using machine = await Machine.powerOn({ socketPath });
      await run(machine);
      await machine.frontEnd.closed();
      assert(faults.length === 1, `there were ${faults.length} faults: ${faults}`);
      assertMatch(faults[0]!, fault);
      machine.close();
      await serves();
      assertEquals(faults.length, 1, faults[1] ?? "");
    });
  });
}
