/**
 * An agent in a Firecracker VM and its host: `firecracker.ts agent` in the VM, then beside it
 * `firecracker.ts host /run/fc.sock`. Without arguments both run here, by a stand-in for the VMM.
 */
import { arch, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import type { Address, Conn, HybridAddress, Listener } from "@vsockit/vsockit";
import { connect, createVmm, listen, VMADDR_CID_ANY, VsockError } from "@vsockit/vsockit";

const PORT = 1024;

/** Answers each line, a name, with what the VM is. */
async function answer(conn: Conn<Address>): Promise<void> {
  using _conn = conn;
  let line = "";
  for await (const bytes of conn.readable) {
    line += new TextDecoder().decode(bytes, { stream: true });
    if (!line.endsWith("\n")) continue;
    const about = { hello: line.trim(), kernel: release(), arch: arch() };
    await conn.write(new TextEncoder().encode(`${JSON.stringify(about)}\n`));
    return await conn.closeWrite();
  }
}

async function serve(listener: Listener<Address>): Promise<void> {
  for await (const conn of listener) {
    answer(conn).catch((error) => console.error(String(error)));
  }
}

/** Connects once the VM is up: until then there is no path, no VMM at it, or no agent in the VM. */
async function reach(path: string, patienceMs: number): Promise<Conn<HybridAddress>> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await connect({ path, port: PORT }, { timeoutMs: 5_000 });
    } catch (error) {
      const again = error instanceof VsockError && performance.now() < deadline;
      if (!again) throw error;
    }
    await setTimeout(100);
  }
}

async function ask(path: string): Promise<string> {
  using conn = await reach(path, 30_000);
  await conn.write(new TextEncoder().encode("host\n"));
  return await new Response(conn.readable).text();
}

const [what, path = ""] = process.argv.slice(2);
if (what === "agent") await serve(listen({ cid: VMADDR_CID_ANY, port: PORT }));
else if (what === "host") console.log(await ask(path));
else {
  const path = join(tmpdir(), `firecracker-${process.pid}.sock`);
  const asking = ask(path); // before there is anything
  using vmm = createVmm(path);
  using agent = listen({ cid: 3, port: PORT }, { transport: vmm.guest });
  const serving = serve(agent);
  console.log(JSON.parse(await asking).hello);
  agent.close();
  await serving;
}
