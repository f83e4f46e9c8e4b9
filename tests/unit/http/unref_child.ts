/** Run by serve_test.ts: a server that does not hold the process, nor does its connection. */
import { connect, listen } from "../../../mod.ts";
import { serve } from "../../../src/http/mod.ts";

async function run(): Promise<void> {
  const address = { cid: 1, port: 80 };
  const listener = listen(address, { transport: "loopback" });
  const server = serve(listener, () => new Response("ok"), { idleTimeoutMs: Infinity });
  server.unref();
  const conn = await connect(address, { transport: "loopback" });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  console.log(await conn.read(new Uint8Array(4096)) !== null);
}

// Not at the top level, where Deno and Bun would wait for it, whatever holds the event loop.
run();
