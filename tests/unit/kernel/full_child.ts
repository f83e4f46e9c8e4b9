/** Run by full_test.ts with few descriptors allowed: what is there while all are taken. */
import { SysError } from "../../../ffi/errno.ts";
import { AF_UNIX, MSG_WAITALL, SOCK_NONBLOCK, SOCK_STREAM } from "../../../ffi/abi/socket.ts";
import { close, socketpair } from "../../../ffi/libc.ts";
import { openTcp } from "../../../src/kernel/tcp_unix.ts";
import { uring } from "../../../src/kernel/uring.ts";
import { WholeSend } from "../../../src/kernel/whole_send.ts";
import { runtimeHasBegun, takeDescriptors } from "../../helpers/few_descriptors.ts";

const [here] = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
const messages = new WholeSend(here);

/** Whether a message goes on where room ends; without a ring that ends all. */
function goesOn(bytes: number): boolean {
  try {
    messages.send(new Uint8Array(bytes), MSG_WAITALL);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
  return messages.state === "under way";
}

/** Whether there is a ring, pages of TCP, and a ring for a message of so many bytes. */
function look(bytes: number): readonly boolean[] {
  return [uring() !== null, openTcp("127.0.0.1").capabilities.mapRx, goesOn(bytes)];
}

openTcp("::1"); // opens what it needs once
await runtimeHasBegun();
const fds = takeDescriptors();
const full = look(1);
for (const fd of fds) close(fd);
console.log(JSON.stringify({ full, later: look(400_000) }));
