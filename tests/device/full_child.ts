/** Run by full_test.ts with few descriptors allowed: a device that has none left. */
import process from "node:process";
import {
  AF_INET,
  AF_UNIX,
  SO_LINGER,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../ffi/abi/socket.ts";
import { close, getsockopt, setsockopt, socket, socketpair } from "../../ffi/libc.ts";
import { Channel } from "../../src/vhost_user/channel.ts";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import { REQUEST } from "../../src/vhost_user/protocol.ts";
import { runtimeHasBegun, takeDescriptors } from "../helpers/few_descriptors.ts";
import { frame, sendFrame, u64s } from "./front_end.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";

function open(): { device: VsockDevice; fault: Promise<Error> } {
  const { promise: fault, resolve } = Promise.withResolvers<Error>();
  const given = { socketPath: freshPath(), guestCid: GUEST_CID };
  return { device: createVsockDevice({ ...given, onFault: resolve }), fault };
}

async function serve(device: VsockDevice): Promise<void> {
  using _machine = await Machine.start(device.guest);
  await device.guest.ready();
  console.log("served");
}

const WAYS: Readonly<Record<string, () => Promise<void>>> = {
  /** None for those of a VMM. */
  async memory() {
    const { device, fault } = open();
    using _device = device;
    {
      using machine = await Machine.powerOn(device.guest);
      await runtimeHasBegun();
      const fds = takeDescriptors();
      machine.frontEnd.setMemory(machine.ram.regions, machine.ram.fd).catch(() => {});
      const { message } = await fault;
      for (const fd of fds) close(fd);
      console.log(message);
    }
    await serve(device);
  },

  /** Some to listen, and none for a thread to wait for VMMs. */
  async begin() {
    await runtimeHasBegun();
    const fds = takeDescriptors(4);
    const { device, fault } = open();
    using _device = device;
    const { message } = await fault;
    for (const fd of fds) close(fd);
    console.log(message);
    await serve(device);
  },

  /** One to close those that a VMM has sent, five at once and then a socket that lingers. */
  async close() {
    const [ours, theirs] = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
    const lingering = socket(AF_INET, SOCK_STREAM);
    setsockopt(lingering, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 60));
    for (const fds of [Array(5).fill(theirs), [lingering]]) {
      sendFrame(theirs, frame(REQUEST.SET_VRING_CALL, u64s(0)), fds);
    }
    await runtimeHasBegun();
    const fds = takeDescriptors(1);
    new Channel(ours).close();
    const linger = new Int32Array(2);
    getsockopt(lingering, SOL_SOCKET, SO_LINGER, linger);
    for (const fd of fds) close(fd);
    console.log(linger[0] === 0 ? "at once" : "lingers");
  },
};

await WAYS[process.argv[2]!]!();
