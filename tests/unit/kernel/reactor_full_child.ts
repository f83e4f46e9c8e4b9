/** Run by reactor_process_test.ts with few descriptors allowed: waits when all are taken. */
import { EFD_CLOEXEC } from "../../../ffi/abi/eventfd.ts";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { SysError } from "../../../ffi/errno.ts";
import { close, eventfd, write } from "../../../ffi/libc.ts";
import { Hold, reactor } from "../../../src/kernel/reactor.ts";
import { runtimeHasBegun, takeDescriptors } from "../../helpers/few_descriptors.ts";

const hold = new Hold();
const fd = eventfd(0, EFD_CLOEXEC);
await runtimeHasBegun();
const fds = takeDescriptors();
for (const free of [0, 1, 2, 3, 6, 10]) {
  const taken = fds.length;
  for (const one of fds.splice(taken - free)) close(one);
  const error: unknown = await reactor().wait(fd, POLLIN, hold).catch((error: unknown) => error);
  fds.push(...takeDescriptors());
  const same = fds.length === taken ? "none is lost" : `${taken - fds.length} are lost`;
  console.log(error instanceof SysError ? `${error.op} ${error.code}, ${same}` : error);
}
for (const one of fds) close(one);
const woken = reactor().wait(fd, POLLIN, hold);
write(fd, BigUint64Array.of(1n));
console.log(await woken);
