/**
 * Proof that a device serves a guest.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { connect } from "../../src/connect.ts";
import type { Conn } from "../../src/conn.ts";
import { listen } from "../../src/listen.ts";
import type { SocketType } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";
import type { VsockDevice } from "../../src/vhost_user/device.ts";
import type { VsockGuest } from "../../src/vhost_user/served_guest.ts";
import { bytes } from "../conformance/helpers.ts";
import { until } from "../helpers/until.ts";
import { Machine } from "./machine.ts";

/** Both ends of a transport between machines: a device, or a machine with its guest. */
interface End {
  readonly transport: Transport;
}

/** A connection, by its ends. The caller closes both. */
export interface Pair extends Disposable {
  readonly near: Conn;
  readonly far: Conn;
}

/** Has `from` connect to `to`. */
export async function meet(
  to: Transport,
  from: Transport,
  type: SocketType = "stream",
): Promise<Pair> {
  const any = { cid: to.localCid, port: VMADDR_PORT_ANY };
  using listener = listen(any, { transport: to, type });
  const address = { cid: to.localCid, port: listener.addr.port };
  const options = { connectTimeoutMs: 60_000 }; // the kernel's 2 s are short on a busy machine
  const [far, near] = await Promise.all([
    connect(address, { transport: from, type, options }),
    listener.accept({ timeoutMs: 60_000 }),
  ]);
  return {
    near,
    far,
    [Symbol.dispose]() {
      near.close();
      far.close();
    },
  };
}

/** Sends bytes both ways, on connections that either side has made. */
export async function exchange(device: Transport, { transport: guest }: End): Promise<void> {
  for (const [to, from] of [[device, guest], [guest, device]] as const) {
    using pair = await meet(to, from);
    await Promise.all([pass(pair.near, pair.far), pass(pair.far, pair.near)]);
  }
}

/** Has the runtime open all that it opens once, by serving a guest of `device` that goes again. */
export async function warmUp(device: VsockDevice): Promise<void> {
  {
    using machine = await Machine.start(device.guest);
    await exchange(device, machine);
  }
  await gone(device.guest);
}

/** Waits until the device knows that the VMM is gone. */
export async function gone(guest: VsockGuest): Promise<void> {
  await until(() => !guest.up);
}

/** Sends more than one buffer holds. */
async function pass(from: Conn, to: Conn): Promise<void> {
  const sent = bytes(300_000);
  const writing = from.write(sent);
  const got = new Uint8Array(sent.length);
  for (let at = 0; at < got.length;) {
    const count = await to.read(got.subarray(at));
    if (count === null) throw new Error(`the stream ended after ${at} bytes`);
    at += count;
  }
  await writing;
  assertEquals(got.findIndex((byte, i) => byte !== sent[i]), -1);
}
