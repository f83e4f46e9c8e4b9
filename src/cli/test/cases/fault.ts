/**
 * Receive into memory that is not there: EFAULT, and what becomes of the data.
 *
 * @module
 */
import { POLLIN } from "../../../../ffi/abi/poll.ts";
import { recv } from "../../../../ffi/libc.ts";
import { pageSize } from "../../../../ffi/memory.ts";
import { type Socket, type SocketType, WOULD_BLOCK } from "../../../socket.ts";
import type { TestCase } from "../case.ts";
import { expect, expectBytes, expectErrno } from "../check.ts";
import type { End } from "../end.ts";
import { brokenMemory } from "../memory.ts";

const RAW = "it receives into memory that is not there";
const PAGES = 3;
const [FIRST, SECOND] = ["a".charCodeAt(0), "b".charCodeAt(0)];

/** Receives where page `hole` of `pages` is missing. */
async function receiveIntoHole(
  end: End,
  socket: Socket,
  pages: number,
  hole: number,
): Promise<void> {
  const { region, bytes } = brokenMemory(pages, hole);
  using _region = region;
  await end.wait(socket, POLLIN);
  expectErrno("recv into a hole", "EFAULT", () => recv(end.fdOf(socket), bytes, 0));
}

/** The first message is lost, the second one comes whole. */
export const holeInBuffer: TestCase = {
  name: "SOCK_SEQPACKET invalid receive buffer",
  raw: { server: RAW },
  async client(end) {
    using socket = await end.connect("seqpacket");
    await end.send(socket, new Uint8Array(PAGES * pageSize()).fill(FIRST));
    await end.send(socket, new Uint8Array(PAGES * pageSize()).fill(SECOND));
  },
  async server(end) {
    using socket = await end.accept("seqpacket");
    await receiveIntoHole(end, socket, PAGES, 1);
    const message = await end.receiveAll(socket, PAGES * pageSize());
    expectBytes("the second message", message, new Uint8Array(message.length).fill(SECOND));
  },
};

const LENGTH = 512;

function noBuffer(name: string, type: SocketType, left: number): TestCase {
  return {
    name,
    raw: { client: RAW },
    async client(end) {
      using socket = await end.connect(type);
      await end.control.expect("SENDDONE");
      await receiveIntoHole(end, socket, 1, 0);
      expect("recv of what is left", socket.recv(new Uint8Array(LENGTH), 0), left);
      end.control.send("DONE");
    },
    async server(end) {
      using socket = await end.accept(type);
      await end.send(socket, new Uint8Array(LENGTH));
      end.control.send("SENDDONE");
      await end.control.expect("DONE");
    },
  };
}

/** A stream keeps its bytes. */
export const streamNoBuffer: TestCase = noBuffer(
  "SOCK_STREAM test invalid buffer",
  "stream",
  LENGTH,
);

/** A message is lost. */
export const seqpacketNoBuffer: TestCase = noBuffer(
  "SOCK_SEQPACKET test invalid buffer",
  "seqpacket",
  WOULD_BLOCK,
);
