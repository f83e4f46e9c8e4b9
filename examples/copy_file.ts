/**
 * Copies a file over any stream: `copy_file.ts receive ADDRESS FILE`, then elsewhere
 * `copy_file.ts send ADDRESS FILE`. An address is `vsock:2:1024`, `tcp:127.0.0.1:1024`,
 * `unix:/run/copy.sock` and so on.
 */
import { open } from "node:fs/promises";
import process from "node:process";
import { connect, listen } from "@vsockit/vsockit";

async function send(address: string, path: string): Promise<void> {
  await using file = await open(path, "r");
  using conn = await connect(address);
  const bytes = new Uint8Array(1 << 20);
  for (;;) {
    const { bytesRead } = await file.read(bytes);
    if (bytesRead === 0) break;
    await conn.write(bytes.subarray(0, bytesRead));
  }
  await conn.closeWrite();
  // A connection that ends does not say what became of the bytes: the receiver does.
  const stored = await new Response(conn.readable).text();
  if (stored !== `${conn.bytesWritten}`) throw new Error(`stored were ${stored || 0} bytes`);
}

async function receive(address: string, path: string): Promise<void> {
  await using file = await open(path, "w");
  using listener = listen(address);
  using conn = await listener.accept();
  const bytes = new Uint8Array(1 << 20);
  for (let n = await conn.read(bytes); n !== null; n = await conn.read(bytes)) {
    await file.appendFile(bytes.subarray(0, n)); // write() may take only a part
  }
  await conn.write(new TextEncoder().encode(`${conn.bytesRead}`));
  console.log(`received ${conn.bytesRead} bytes`);
}

const [what, address = "", path = ""] = process.argv.slice(2);
if (what === "send") await send(address, path);
else if (what === "receive") await receive(address, path);
else throw new TypeError("usage: copy_file.ts send|receive ADDRESS FILE");
