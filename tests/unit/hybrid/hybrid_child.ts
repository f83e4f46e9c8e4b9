/** Run by hybrid_test.ts: VMMs that are left open, one amid an answer, and a guest that reads. */
import process from "node:process";
import { connect, createVmm, listen } from "../../../mod.ts";

const path = process.argv[2] ?? "";

async function read(): Promise<number | null> {
  const agent = listen({ cid: 3, port: 1024 }, { transport: createVmm(path).guest });
  agent.unref();
  agent.ref();
  later(async () => {
    const conn = await connect({ path, port: 1024 });
    conn.unref();
    conn.read(new Uint8Array(1)).catch(() => {});
    later(() => conn.write(Uint8Array.of(1)));
  });
  const guest = await agent.accept();
  return await guest.read(new Uint8Array(9));
}

/** What the process does not stay for. */
function later(run: () => void): void {
  setTimeout(run, 50).unref();
}

async function giveUp(): Promise<unknown> {
  const vmm = createVmm(`${path}2`, { faults: { delayMs: 3_600_000 } });
  const agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
  const late = connect({ path: `${path}2`, port: 1024 }, { timeoutMs: 20 });
  agent.unref();
  agent.accept().catch(() => {});
  return await late.catch(({ code }) => code);
}

async function beSilent(): Promise<void> {
  const vmm = createVmm(`${path}3`, { faults: { answer: "silence" } });
  listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
  const host = await connect({ path: `${path}3` });
  host.unref();
  await host.write(new TextEncoder().encode("CONNECT 1024\n"));
  await new Promise((resolve) => setTimeout(resolve, 50)); // so that the VMM has read it, as a rule
}

// Not at the top level, where Deno and Bun would wait for it, whatever holds the event loop.
read().then(console.log).then(giveUp).then(console.log).then(beSilent);
