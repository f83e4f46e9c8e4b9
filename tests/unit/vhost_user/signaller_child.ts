/**
 * Run by eventfds_test.ts with few descriptors allowed: whether there is a signaller
 * without one left, then with some, and once its thread has come to its end.
 */
import process from "node:process";
import { close } from "../../../ffi/libc.ts";
import { signaller } from "../../../src/vhost_user/signaller.ts";
import { runtimeHasBegun, takeDescriptors } from "../../helpers/few_descriptors.ts";

await runtimeHasBegun();
const fds = takeDescriptors();
const without = signaller() !== null;
for (const fd of fds) close(fd);
let calls = 1;
while (signaller() === null && calls < 10_000) calls++;
const again = calls < 10_000;
process.once("exit", () => console.log(without, again, signaller() !== null));
