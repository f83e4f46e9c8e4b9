/** Tests a protocol of one's own on a network that goes wrong, the same way every time. */
import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { type Conn, connect, listen } from "@vsockit/vsockit";
import { createLoopback, type LoopbackFaults } from "@vsockit/vsockit/loopback";

/** What is tested: asks with one line, and is answered with one. */
async function ask(conn: Conn, question: string): Promise<string> {
  await conn.write(new TextEncoder().encode(`${question}\n`));
  let answer = "";
  for await (const bytes of conn.readable) {
    answer += new TextDecoder().decode(bytes, { stream: true });
    if (answer.endsWith("\n")) return answer.slice(0, -1);
  }
  throw new Error(`no answer, only ${JSON.stringify(answer)}`);
}

/** Asks a server that repeats what it hears, over a loopback with `faults`. */
async function askEcho(question: string, faults: LoopbackFaults, seed: number): Promise<string> {
  const transport = createLoopback({ seed, delayMs: 5, faults });
  using listener = listen({ cid: 1, port: 1024 }, { transport });
  using conn = await connect({ cid: 1, port: 1024 }, { transport });
  using server = await listener.accept();
  const echo = server.readable.pipeTo(server.writable).catch(() => {});
  try {
    return await ask(conn, question);
  } finally {
    conn.close();
    await echo;
  }
}

test("ask() puts together an answer that comes in pieces", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    assertEquals(
      await askEcho("hello", { shortReads: 0.9, shortWrites: 0.9 }, seed),
      "hello",
    );
  }
});

test("ask() fails where the connection breaks within the answer", async () => {
  const faults = { shortWrites: 0.9, resetAfterBytes: 150 };
  await assertRejects(() => askEcho("hello ".repeat(20), faults, 7), Error, "no answer, only");
});
