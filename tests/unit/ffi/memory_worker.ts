/** Reads a buffer that was transferred to it, over and over, until its flag says stop. */
import { parentPort } from "node:worker_threads";

interface Loot {
  readonly buffer: ArrayBuffer;
  readonly flag: Int32Array;
}

parentPort?.once("message", ({ buffer, flag }: Loot) => {
  const bytes = new Uint8Array(buffer);
  parentPort?.postMessage(`starts with ${bytes[0]}`);
  let last: number | undefined = 0;
  do {
    for (const byte of bytes) last = byte;
  } while (Atomics.load(flag, 0) === 0);
  parentPort?.postMessage(`ends with ${bytes.length} bytes of ${bytes[0]}${last}`);
});
