/** Says what works under the permissions that it was given, or which flag is missing. */
import { FfiUnavailableError } from "../../../ffi/backend.ts";
import { Message } from "../../../ffi/message.ts";
import * as libc from "../../../ffi/libc.ts";
import { SysError } from "../../../ffi/errno.ts";
import { MappedRegion } from "../../../ffi/memory.ts";

function attempt(work: () => void): string {
  try {
    work();
    return "works";
  } catch (error) {
    if (error instanceof FfiUnavailableError) return error.flag;
    throw error;
  }
}

function pipe(): void {
  const [reader, writer] = libc.pipe2(0);
  libc.write(writer, Uint8Array.of(1));
  if (libc.read(reader, new Uint8Array(4)) !== 1) throw new Error("Cannot read what was written");
  const [near, far] = libc.socketpair(1, 1);
  libc.sendmsg(near, new Message([Uint8Array.of(1, 2)]), 0);
  if (libc.recv(far, new Uint8Array(4), 0) !== 2) throw new Error("Cannot receive what was sent");
  for (const fd of [reader, writer, near, far]) libc.close(fd);
  try {
    libc.close(1_000_000);
  } catch (error) {
    if (!(error instanceof SysError && error.code === "EBADF")) throw error;
  }
}

function mapping(): void {
  using region = new MappedRegion(4_096);
  region.lend(0, 1)[0] = 1;
}

console.log(JSON.stringify({ imported: true, pipe: attempt(pipe), mapping: attempt(mapping) }));
