/** Calls with ids, in frames of JSON behind their length: many at a time, answered in any order. */
import { type Conn, connect, listen } from "@vsockit/vsockit";
import { createLoopback } from "@vsockit/vsockit/loopback";

type Frame = { id: number; value: unknown };

async function* frames({ readable }: Conn): AsyncGenerator<Frame, void, undefined> {
  let left = new Uint8Array(0);
  for await (const chunk of readable) {
    left = new Uint8Array([...left, ...chunk]);
    for (;;) {
      if (left.length < 4) break;
      const length = new DataView(left.buffer, left.byteOffset).getUint32(0);
      if (length > 65_536) throw new RangeError(`Frame of ${length} bytes`);
      if (left.length < 4 + length) break;
      yield JSON.parse(new TextDecoder().decode(left.subarray(4, 4 + length)));
      left = left.subarray(4 + length);
    }
  }
}

/** Sends a frame; settles when the peer has room for it, so who awaits it goes at its pace. */
function sender(conn: Conn): (frame: Frame) => Promise<void> {
  const writer = conn.writable.getWriter();
  return (frame) => {
    const json = new TextEncoder().encode(JSON.stringify(frame));
    const p = new Uint8Array(4 + json.length);
    new DataView(p.buffer).setUint32(0, json.length);
    p.set(json, 4);
    return writer.write(p);
  };
}

async function serve(conn: Conn, call: (frame: Frame) => Promise<Frame>): Promise<void> {
  using _conn = conn;
  const [send, running] = [sender(conn), new Set<Promise<void>>()];
  const fail = (error: unknown): void => {
    console.error(String(error));
    conn.close(); // ends the loop too
  };
  for await (const frame of frames(conn)) {
    const answer = call(frame).then(send).catch(fail).finally(() => running.delete(answer));
    running.add(answer);
    if (running.size >= 16) await Promise.race(running); // reads no more than it can answer
  }
  await Promise.all(running);
}

const transport = createLoopback();
using listener = listen({ cid: 1, port: 1024 }, { transport });
const conn = await connect({ cid: 1, port: 1024 }, { transport });
const serving = serve(await listener.accept(), async ({ id, value }) => {
  await new Promise((resolve) => setTimeout(resolve, Number(value)));
  return { id, value: `${value} ms later` };
});

const send = sender(conn);
for (const [id, value] of [400, 200, 0].entries()) await send({ id, value });
await conn.closeWrite();
for await (const { id, value } of frames(conn)) console.log(id, value);
await serving;
