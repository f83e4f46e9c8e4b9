/** SEQPACKET messages of the kernel: whole, or not at all, wherever the peer's credit ends. */
import "../vm/in_guest.ts";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { POLLIN, POLLOUT, POLLRDHUP } from "../../ffi/abi/poll.ts";
import { MSG_EOR } from "../../ffi/abi/socket.ts";
import { VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { VsockError } from "../../src/error.ts";
import { KernelSocket } from "../../src/kernel/socket.ts";
import { openVsock } from "../../src/kernel/transport.ts";
import { WholeSend } from "../../src/kernel/whole_send.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { WOULD_BLOCK } from "../../src/socket.ts";
import { bytes } from "../conformance/helpers.ts";
import { receiveNext } from "../conformance/verbs.ts";
import { openSockets } from "../helpers/open_sockets.ts";
import { assertSysError } from "../helpers/sys_error.ts";
import { join, type Pair } from "../helpers/pair.ts";
import { NO_SEQPACKET } from "./kernel.ts";

const timeout = 120_000;
const skip = NO_SEQPACKET;

/** Two connected ends of which the receiver gives `credit` bytes. */
async function pair(credit: number): Promise<Pair> {
  const options = {
    transport: openVsock(),
    type: "seqpacket",
    options: { bufferSize: credit },
  } as const;
  using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, options);
  return await join(listener, connect({ cid: 1, port: listener.addr.port }, options));
}

test("send() of a message that finds credit for a part goes on when there is more", {
  timeout,
  skip,
}, async () => {
  using ends = await pair(4096);
  const [here, there] = [ends.near.socket, ends.far.socket];
  assertEquals(here.send(bytes(3000, 1), 0), 3000);
  assertEquals(here.send(bytes(2000, 2), MSG_EOR), WOULD_BLOCK);
  assertEquals(here.poll(POLLIN | POLLOUT), 0);
  assertEquals(here.send(bytes(2000, 2), MSG_EOR), WOULD_BLOCK);
  assertEquals(here.waitSync(POLLOUT, 100), 0);
  assertEquals(await receiveNext(there, 9000), { result: 3000, data: bytes(3000, 1), flags: 0 });
  assertEquals(await here.wait(POLLOUT), POLLOUT);
  assertEquals(here.send(bytes(2000, 2), MSG_EOR), 2000);
  assertEquals(await receiveNext(there, 9000), {
    result: 2000,
    data: bytes(2000, 2),
    flags: MSG_EOR,
  });
});

test("send() of another message waits for the one that was begun, and is not glued to it", {
  timeout,
  skip,
}, async () => {
  using ends = await pair(4096);
  const [here, there] = [ends.near.socket, ends.far.socket];
  here.send(bytes(3000, 1), 0);
  assertEquals(here.send(bytes(2000, 2), 0), WOULD_BLOCK);
  assertEquals(here.send(bytes(1500, 3), 0), WOULD_BLOCK);
  assertEquals(here.send(bytes(1, 4), 0), WOULD_BLOCK);
  const got = [];
  got.push((await receiveNext(there, 9000)).data);
  while (here.send(bytes(1500, 3), 0) === WOULD_BLOCK) await here.wait(POLLOUT);
  for (let i = 0; i < 2; i++) {
    got.push((await receiveNext(there, 9000)).data);
  }
  assertEquals(got, [bytes(3000, 1), bytes(2000, 2), bytes(1500, 3)]);
});

test("send() that fills the credit exactly is through at once, and by waitSync()", {
  timeout,
  skip,
}, async () => {
  using ends = await pair(4096);
  const [here, there] = [ends.near.socket, ends.far.socket];
  here.send(bytes(1000), 0);
  assertEquals(here.send(bytes(4096), 0), WOULD_BLOCK);
  await receiveNext(there, 1000);
  // All the credit that there is goes into the rest: poll(2) itself would say no.
  assertEquals(here.waitSync(POLLOUT, 20_000), POLLOUT);
  assertEquals(here.send(bytes(4096), 0), 4096);
  assertEquals(here.poll(POLLOUT), 0);
  assertEquals((await receiveNext(there, 9000)).data, bytes(4096));
});

test(
  "sendMessage() of 1000 messages to a slow reader keeps every bound",
  { timeout, skip },
  async () => {
    using ends = await pair(65_536);
    const { near, far } = ends;
    const size = (i: number): number => 1 + (i * 7919) % (i % 3 === 0 ? 40_000 : 300);
    const sending = (async (): Promise<void> => {
      for (let i = 0; i < 1000; i++) {
        await near.sendMessage(bytes(size(i), i), { endOfRecord: i % 5 === 0 });
      }
      await near.closeWrite();
    })();
    for (let i = 0; i < 1000; i++) {
      const message = await far.receiveMessage();
      assertEquals([message?.length, message?.endOfRecord], [size(i), i % 5 === 0]);
      assertEquals(message?.data, bytes(size(i), i));
    }
    assertEquals(await far.receiveMessage(), null);
    await sending;
  },
);

test("close() while a message is under way: the peer reads what was whole, then the end", {
  timeout,
  skip,
}, async () => {
  const before = openSockets();
  for (let round = 0; round < 20; round++) {
    using ends = await pair(4096);
    const { near, far } = ends;
    await near.sendMessage(bytes(3000, round));
    const cut = assertRejects(() => near.sendMessage(bytes(4000)), VsockError, "EBADF");
    near.close();
    await cut;
    await far.socket.wait(POLLRDHUP);
    assertEquals((await far.receiveMessage())?.data, bytes(3000, round));
    assertEquals(await far.receiveMessage(), null);
  }
  assertEquals(openSockets(), before);
});

test("the peer's close() while a message is under way fails it with EPIPE", {
  timeout,
  skip,
}, async () => {
  using ends = await pair(4096);
  const { near, far } = ends;
  await near.sendMessage(bytes(3000));
  const cut = assertRejects(() => near.sendMessage(bytes(4000)), VsockError, "EPIPE");
  far.close();
  await cut;
});

test("without an io_uring, a message that is cut ends sending, and the peer never sees it", {
  timeout,
  skip,
}, async () => {
  using ends = await pair(4096);
  const { near, far } = ends;
  assert(near.socket instanceof KernelSocket);
  const messages = new WholeSend(near.socket.fd, () => null);
  assertEquals(messages.send(bytes(3000), 0), 3000);
  assertSysError("send", "ECONNABORTED", () => messages.send(bytes(2000), 0));
  assertSysError("send", "EPIPE", () => messages.send(bytes(10), 0));
  assertEquals((await far.receiveMessage())?.data, bytes(3000));
  assertEquals(await far.receiveMessage(), null);
});

test(
  "without an io_uring, a message without any credit would block",
  { timeout, skip },
  async () => {
    using ends = await pair(4096);
    const { near, far } = ends;
    assert(near.socket instanceof KernelSocket);
    const messages = new WholeSend(near.socket.fd, () => null);
    assertEquals(messages.send(bytes(4096), 0), 4096);
    assertEquals(messages.send(bytes(2000), 0), WOULD_BLOCK);
    assertEquals((await far.receiveMessage())?.data, bytes(4096));
    await near.socket.wait(POLLOUT);
    assertEquals(messages.send(bytes(2000, 2), 0), 2000);
    assertEquals((await far.receiveMessage())?.data, bytes(2000, 2));
  },
);
