/**
 * What `vsockit cat` promises, over any family.
 *
 * @module
 */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { stringifyAddress } from "../../src/address_text.ts";
import { listen } from "../../src/listen.ts";
import { Running } from "./process.ts";

const LIMIT = { timeout: 120_000 };

/** An address that nobody uses, and what undoes it. */
export interface Place extends Disposable {
  /** Where to listen. */
  readonly listen: string;
  /** Where to connect, given what the listener has said. */
  connect(listening: string): string;
}

/** A listener that listens, and where. */
export async function listening(
  place: Place,
  ...args: readonly string[]
): Promise<[Running, string]> {
  const server = new Running("cat", "-l", "-v", ...args, place.listen);
  const [, address = ""] = await server.says(/^listening on (\S+)\n/m);
  return [server, place.connect(address)];
}

/** Bytes of every kind, more than any buffer holds. */
function flood(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
}

/**
 * Tests `vsockit cat` over the addresses that `open` gives; messages too, unless `noSeqpacket` says
 * why not.
 */
export function testCat(
  name: string,
  open: () => Place,
  noSeqpacket: string | false = false,
): void {
  test(`cat over ${name} goes on one way after the end of the other`, LIMIT, async () => {
    using place = open();
    const [server, address] = await listening(place);
    using _server = server;
    using client = new Running("cat", address);
    const [up, down] = [flood(700_000), flood(600_001)];
    client.feed(up);
    // The end of what the client has sent comes through; only then the server begins.
    await server.outEnded;
    server.feed(down);
    assertEquals([await client.ended, await server.ended, client.err], [0, 0, ""]);
    assertEquals(server.bytes.length, up.length);
    assertEquals(server.bytes.every((byte, index) => byte === up[index]), true);
    assertEquals(client.bytes.length, down.length);
    assertEquals(client.bytes.every((byte, index) => byte === down[index]), true);
  });

  test(`cat over ${name} ends when the peer has closed, whatever stdin does`, LIMIT, async () => {
    using place = open();
    const [server, address] = await listening(place, "--exec", "echo bye");
    using _server = server;
    using client = new Running("cat", address); // its standard input stays open
    assertEquals([await client.ended, client.out, client.err], [0, "bye\n", ""]);
    assertEquals(await server.ended, 0);
  });

  const messages = { ...LIMIT, skip: noSeqpacket };
  for (const [type, ...flags] of [["stream"], ["seqpacket", "--seqpacket"]] as const) {
    test(
      `cat of a ${type} over ${name} ends when a peer closes after its half close`,
      type === "stream" ? LIMIT : messages,
      async () => {
        using place = open();
        using listener = listen(place.listen, { type });
        const address = place.connect(stringifyAddress(listener.addr));
        using client = new Running("cat", ...flags, address);
        using conn = await listener.accept();
        await conn.write(new TextEncoder().encode("bye\n"));
        await conn.closeWrite();
        await client.outEnded;
        client.child.stdin!.write("more"); // it stays open
        assertEquals(await conn.read(new Uint8Array(8)), 4);
        conn.close();
        assertEquals([await client.ended, client.out, client.err], [0, "bye\n", ""]);
      },
    );
  }

  test(`cat --seqpacket --lines over ${name} keeps messages apart`, messages, async () => {
    using place = open();
    const [server, address] = await listening(place, "--seqpacket", "--lines");
    using _server = server;
    using client = new Running("cat", "--seqpacket", "--lines", address);
    const long = "x".repeat(100_000);
    client.feed(`first\n\n${long}\nlast`);
    server.feed("");
    assertEquals([await client.ended, await server.ended], [0, 0]);
    assertEquals(server.out, `first\n${long}\nlast\n`);
  });
}
