/** Fails calls of libc in a thread of its own, and tells which errors it saw. */
import { parentPort } from "node:worker_threads";
import { SysError } from "../../../ffi/errno.ts";
import { close, pipe2, read, write } from "../../../ffi/libc.ts";

const codes = new Set<string>();
const [reader, writer] = pipe2(0);
const buffer = new Uint8Array(8);
for (let round = 0; round < 20_000; round++) {
  try {
    close(1_000_000);
  } catch (error) {
    codes.add(error instanceof SysError ? error.code : String(error));
  }
  write(writer, buffer);
  if (read(reader, buffer) !== 8) codes.add("a short read");
}
close(reader);
close(writer);
parentPort?.postMessage([...codes].join());
