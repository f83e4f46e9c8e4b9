/**
 * Run by full_test.ts with few descriptors allowed: what a device says that has none left for a
 * VMM's, or as it begins.
 */
import process from "node:process";
import { EFD_CLOEXEC } from "../../ffi/abi/eventfd.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, eventfd } from "../../ffi/file_calls.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";

/** Opens descriptors until there are no more. */
function fill(): number[] {
  const fds: number[] = [];
  try {
    for (;;) fds.push(eventfd(0, EFD_CLOEXEC));
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
  return fds;
}

/** Those that a device takes to listen; a thread to wait for VMMs wants more. */
const SPARE = 4;

const { promise, resolve } = Promise.withResolvers<Error>();
const toBegin = process.argv[2] === "begin" ? fill() : [];
for (const fd of toBegin.splice(-SPARE)) close(fd);
using device = createVsockDevice({
  socketPath: freshPath(),
  guestCid: GUEST_CID,
  onFault: resolve,
});
if (toBegin.length > 0) {
  console.log((await promise).message);
  for (const fd of toBegin) close(fd);
} else {
  using machine = await Machine.powerOn(device.guest);
  const fds = fill();
  machine.frontEnd.setMemory(machine.ram.regions, machine.ram.fd).catch(() => {});
  const { message } = await promise;
  for (const fd of fds) close(fd);
  console.log(message);
}
using _machine = await Machine.start(device.guest);
await device.guest.ready();
console.log("served");
