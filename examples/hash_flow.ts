/** Hashes a flow of 64 MiB without copying it: the pages that it arrives in are what is hashed. */
import { createHash } from "node:crypto";
import { connect, listen } from "@vsockit/vsockit";
import { createLoopback } from "@vsockit/vsockit/loopback";

const transport = createLoopback();
const address = { cid: 1, port: 1024 };
const options = { zeroCopyReceive: true, bufferSize: 1 << 20 };

using listener = listen(address, { transport, options });
using sender = await connect(address, { transport, options });
using conn = await listener.accept();

async function send(): Promise<void> {
  const block = new Uint8Array(1 << 20).fill(7);
  for (let count = 0; count < 64; count++) await sender.write(block);
  await sender.closeWrite();
}

async function hash(): Promise<string> {
  const sha256 = createHash("sha256");
  using receiver = conn.receiver({ mode: "map" });
  for await (const batch of receiver) {
    // Lent until the end of this block: what is to stay must be copied.
    for (const { data } of batch) sha256.update(data);
  }
  return sha256.digest("hex");
}

const [hex] = await Promise.all([hash(), send()]);
console.log(hex);
