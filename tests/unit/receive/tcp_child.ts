/**
 * One end of `tcp_test.ts` in a process of its own: `touch` maps what comes and touches it
 * after its release; `send PORT` sends for ever, until it is killed.
 */
import process from "node:process";
import { MappedRegion } from "../../../ffi/memory.ts";
import { connect, listen } from "../../../mod.ts";

const [what, port] = process.argv.slice(2);
const options = { maxSegment: 4096 + 12 };
const hostname = "127.0.0.1";
const bytes = new MappedRegion(256 * 1024).lend(0, 256 * 1024).fill(7);

function outcome(touch: () => unknown): string {
  try {
    return String(touch());
  } catch (error) {
    return (error as Error).name;
  }
}

/** What a program may try with a view that is dead. */
function touches(view: Uint8Array): string[] {
  return [
    () => view[0],
    () => view.length,
    () => view.at(-1),
    () => view.fill(1).length,
    () => Array.from(view).length,
    () => new Uint8Array(view.buffer).length,
    () => new DataView(view.buffer).byteLength,
    () => view.subarray(0, 10).length,
    () => structuredClone(view.buffer).byteLength,
    () => new TextDecoder().decode(view).length,
  ].map(outcome);
}

async function touch(): Promise<void> {
  using listener = listen({ hostname, port: 0 }, { options });
  using near = await connect({ hostname, port: listener.addr.port }, { options });
  using far = await listener.accept();
  await near.write(bytes.subarray(0, 32 * 1024), { zeroCopy: true });
  using receiver = far.receiver({ mode: "map" });
  using batch = await receiver.receive();
  const views = Array.from(batch ?? [], ({ data }) => data);
  const mapped = batch?.mappedBytes;
  batch?.release();
  console.log(JSON.stringify({ mapped, touches: views.map(touches) }));
}

async function send(port: number): Promise<void> {
  using conn = await connect({ hostname, port }, { options });
  for (;;) await conn.write(bytes, { zeroCopy: true });
}

await (what === "touch" ? touch() : send(Number(port)));
