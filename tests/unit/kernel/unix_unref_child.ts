/**
 * Two connections that answer each other for ever and hold nothing; the process ends all the same.
 */
import process from "node:process";
import { connect, listen } from "../../../mod.ts";

const path = process.argv[2]!;
using listener = listen({ path });
const near = await connect({ path });
const far = await listener.accept();
for (const conn of [near, far]) {
  conn.unref();
  void (async () => {
    const buffer = new Uint8Array(8);
    for (let n; (n = await conn.read(buffer)) !== null;) await conn.write(buffer.subarray(0, n));
  })();
}
await near.write(Uint8Array.of(1));
