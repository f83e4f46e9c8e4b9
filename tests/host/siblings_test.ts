/** Several guests of one device at once: each talks with the host, and some with each other. */
import { after, before, test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { SysError } from "../../ffi/errno.ts";
import { VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_FLAG_TO_HOST } from "../../ffi/abi/vm_sockets.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { Far, type FarSocket } from "../conformance/far.ts";
import { bytes } from "../conformance/helpers.ts";
import { openMessageChannel } from "../conformance/message_channel.ts";
import { ControlHost } from "../vm/control_host.ts";
import { type GuestProcess, startGuest } from "../vm/guest_process.ts";
import { denoRun, GUEST_CID, Host } from "./booted.ts";

const LIMIT = { timeout: 300_000 };
const PORT = 5000;
const [HERMIT, SIBLING] = [GUEST_CID + 1, GUEST_CID + 2];

let host: Host;
const guests: GuestProcess[] = [];
const controls: ControlHost[] = [];
const fars: Map<number, Far> = new Map();

/** Boots the guest that the device has for `cid`. */
async function boot(cid: number): Promise<void> {
  const control = await ControlHost.listen(host.folder.path(`control${cid}`));
  controls.push(control);
  const guest = host.device.guests.get(cid)!;
  guests.push(startGuest({
    ...{ memoryMiB: 1024, vhostUser: guest.socketPath, control: control.path },
    command: denoRun("tests/vm/far_guest.ts"),
  }));
  await guest.ready();
  fars.set(cid, await Far.open(openMessageChannel(control).channel));
}

before(async () => {
  host = await Host.open({ siblings: true });
  for (const [guestCid, siblings] of [[HERMIT, false], [SIBLING, true]] as const) {
    host.device.addGuest({
      ...{ guestCid, siblings },
      socketPath: host.folder.path(`vhost${guestCid}`),
    });
  }
  for (const cid of [GUEST_CID, HERMIT, SIBLING]) await boot(cid);
});
after(async () => {
  for (const guest of guests) await guest[Symbol.asyncDispose]();
  for (const control of controls) await control.close();
  await host[Symbol.asyncDispose]();
});

/** A listener of a guest. */
async function listening(cid: number): Promise<FarSocket> {
  const listener = await fars.get(cid)!.socket();
  await listener.bind({ cid: VMADDR_CID_ANY, port: PORT });
  await listener.listen(8);
  return listener;
}

/** Sends `data` from one to the other, to the end. */
async function passes(from: FarSocket, to: FarSocket, data: Uint8Array): Promise<void> {
  const send = async (): Promise<void> => {
    await from.sendAll(data);
    await from.shutdown(1);
  };
  const [received] = await Promise.all([to.receiveToEnd(), send()]);
  assertEquals(received, data);
}

test("device serves several guests at once, each by its CID", LIMIT, async () => {
  const { device } = host;
  using listener = listen({ cid: VMADDR_CID_HOST, port: PORT }, { transport: device });
  const meet = async ([cid, far]: readonly [number, Far]): Promise<void> => {
    const there = await listening(cid);
    using conn = await connect({ cid, port: PORT }, { transport: device });
    const accepted = await there.accept();
    const [down, up] = [bytes(300_000, cid), bytes(300_000, 2 * cid)];
    const [received] = await Promise.all([accepted.receiveAll(down.length), conn.write(down)]);
    assertEquals(received, down);
    const buffer = new Uint8Array(up.length);
    const read = async (): Promise<void> => {
      for (let got = 0; got < buffer.length;) got += await conn.read(buffer.subarray(got)) ?? NaN;
    };
    await Promise.all([read(), accepted.sendAll(up)]);
    assertEquals(buffer, up);
    await far.reset();
  };
  await Promise.all(Array.from(fars, meet));
  const back = await Promise.all(Array.from(fars, async ([cid, far]) => {
    const socket = await far.socket();
    await socket.connect({ cid: VMADDR_CID_HOST, port: PORT });
    return cid;
  }));
  const peers: number[] = [];
  for (const _ of back) {
    using conn = await listener.accept();
    peers.push(conn.remoteAddr.cid);
  }
  assertEquals(peers.sort(), back);
});

for (const flags of [0, VMADDR_FLAG_TO_HOST]) {
  test(`device connects siblings, svm_flags being ${flags}`, LIMIT, async () => {
    const listener = await listening(SIBLING);
    const near = await fars.get(GUEST_CID)!.socket();
    const accepted = listener.accept();
    await near.connect({ cid: SIBLING, port: PORT, flags });
    const far = await accepted;
    assertEquals((await far.remoteAddress()).cid, GUEST_CID);
    await passes(near, far, bytes(500_000, 3));
    await passes(far, near, bytes(500_000, 4));
    for (const each of fars.values()) await each.reset();
  });
}

test("device refuses a guest that is no sibling, both ways", LIMIT, async () => {
  for (const [from, to] of [[GUEST_CID, HERMIT], [HERMIT, GUEST_CID]] as const) {
    await listening(to);
    const socket = await fars.get(from)!.socket();
    const flags = VMADDR_FLAG_TO_HOST;
    await assertRejects(
      () => socket.connect({ cid: to, port: PORT, flags }),
      SysError,
      "ECONNRESET",
    );
    for (const each of fars.values()) await each.reset();
  }
});
