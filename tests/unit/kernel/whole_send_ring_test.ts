/** Whole messages over a ring that does only what a test has it do: no io_uring has to be there. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { F_GETFL, O_NONBLOCK } from "../../../ffi/abi/fcntl.ts";
import { POLLIN, POLLOUT, POLLRDHUP, POLLWRNORM } from "../../../ffi/abi/poll.ts";
import {
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_EOR,
  MSG_NOSIGNAL,
  SHUT_WR,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} from "../../../ffi/abi/socket.ts";
import { AF_VSOCK } from "../../../ffi/abi/vm_sockets.ts";
import { ERRNO, WOULD_BLOCK } from "../../../ffi/errno.ts";
import { close, fcntl, recv, send, shutdown, socket, socketpair } from "../../../ffi/libc.ts";
import type { Message } from "../../../ffi/message.ts";
import type { Done, Uring } from "../../../src/kernel/uring.ts";
import { WholeSend } from "../../../src/kernel/whole_send.ts";
import { failOnce } from "../../helpers/faulty_libc.ts";
import { assertSysError } from "../../helpers/sys_error.ts";
import { NO_VSOCK } from "./helpers.ts";

const [ONE, TWO] = [Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 4)];

/** Keeps what it is to send, and says what came of it when told to. */
class FakeRing {
  readonly begun: { readonly bytes: Uint8Array; readonly flags: number; readonly done: Done }[] =
    [];
  /** What comes of a message at once. */
  result: number | undefined;

  sendmsg(_fd: number, { buffers }: Message, flags: number, done: Done): void {
    this.begun.push({ bytes: buffers[0] as Uint8Array, flags, done });
    if (this.result !== undefined) done(this.result);
  }

  reap(): void {}
}

class Rig implements Disposable {
  readonly fd: number;
  readonly peer: number;
  readonly ring: FakeRing = new FakeRing();
  readonly messages: WholeSend;

  constructor(type: number = SOCK_SEQPACKET, rings = true) {
    [this.fd, this.peer] = socketpair(AF_UNIX, type | SOCK_NONBLOCK);
    this.messages = new WholeSend(this.fd, () => rings ? this.ring as unknown as Uring : null);
  }

  /** What the peer reads: bytes, `WOULD_BLOCK`, or 0 at the end. */
  read(): number {
    return recv(this.peer, new Uint8Array(400_000), MSG_DONTWAIT);
  }

  [Symbol.dispose](): void {
    close(this.fd);
    close(this.peer);
  }
}

test("WholeSend has the kernel block where it has a ring, and only there", () => {
  for (const rings of [true, false]) {
    using rig = new Rig(SOCK_SEQPACKET, rings);
    rig.messages.send(ONE, 0);
    assertEquals((fcntl(rig.fd, F_GETFL) & O_NONBLOCK) === 0, rings);
  }
});

test("WholeSend.send() tries again to have the kernel block where that was refused", () => {
  using rig = new Rig();
  const { messages, fd } = rig;
  {
    using _refused = failOnce("fcntl", "EPERM", 2);
    assertSysError("fcntl", "EPERM", () => messages.send(ONE, 0));
  }
  assertEquals([messages.state, messages.send(ONE, 0)], ["idle", WOULD_BLOCK]);
  assertEquals(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
});

test("WholeSend.send() begins with a copy once, and is through with what it began with", () => {
  using rig = new Rig();
  const { messages, ring } = rig;
  const data = ONE.slice();
  assertEquals([messages.state, messages.send(data, MSG_EOR)], ["idle", WOULD_BLOCK]);
  data.fill(9);
  assertEquals([messages.send(ONE, MSG_EOR), messages.send(TWO, 0)], [WOULD_BLOCK, WOULD_BLOCK]);
  assertEquals([messages.state, ring.begun.length], ["under way", 1]);
  assertEquals([ring.begun[0]!.bytes, ring.begun[0]!.flags], [ONE, MSG_EOR | MSG_NOSIGNAL]);
  ring.begun[0]!.done(3);
  assertEquals([messages.state, messages.send(ONE, MSG_EOR), messages.state], [
    "through",
    3,
    "idle",
  ]);
  ring.result = 3;
  assertEquals([messages.send(ONE, MSG_EOR), ring.begun.length, messages.state], [3, 2, "idle"]);
});

test("WholeSend.send() of another message than was begun with begins anew", () => {
  for (const [data, flags] of [[TWO, MSG_EOR], [ONE, 0], [ONE.subarray(1), MSG_EOR]] as const) {
    using rig = new Rig();
    const { messages, ring } = rig;
    messages.send(ONE, MSG_EOR);
    ring.begun[0]!.done(3);
    assertEquals([messages.send(data, flags), messages.state], [WOULD_BLOCK, "under way"]);
    assertEquals([ring.begun.length, ring.begun[1]!.bytes], [2, data]);
  }
});

test("WholeSend.send() throws what became of the message, at once or later", () => {
  for (const now of [true, false]) {
    using rig = new Rig();
    const { messages, ring } = rig;
    if (now) ring.result = -ERRNO.EPIPE;
    else {
      messages.send(ONE, 0);
      ring.begun[0]!.done(-ERRNO.EPIPE);
    }
    assertSysError("send", "EPIPE", () => messages.send(ONE, 0));
    assertEquals([messages.state, rig.read()], ["idle", WOULD_BLOCK]);
  }
});

test("WholeSend.send() ends what it sends where a message was taken in part", () => {
  using rig = new Rig();
  rig.ring.result = -ERRNO.EAGAIN;
  assertSysError("send", "ECONNABORTED", () => rig.messages.send(ONE, 0));
  assertEquals(rig.read(), 0);
});

test("WholeSend.send() begins nothing without room, and tells what a longer one would be", () => {
  using rig = new Rig(SOCK_STREAM);
  const chunk = new Uint8Array(65_536);
  while (send(rig.fd, chunk, MSG_DONTWAIT) !== WOULD_BLOCK);
  assertEquals([rig.messages.send(ONE, 0), rig.messages.state], [WOULD_BLOCK, "idle"]);
  shutdown(rig.fd, SHUT_WR);
  assertSysError("send", "EPIPE", () => rig.messages.send(ONE, 0));
  assertEquals(rig.ring.begun.length, 0);
});

test("WholeSend.send() copies messages of any length, and keeps no copy of the one before", () => {
  using rig = new Rig();
  const { messages, ring } = rig;
  for (const length of [3, 3, 10_000, 5]) {
    ring.result = length;
    assertEquals(messages.send(new Uint8Array(length), 0), length);
    const lengths = ring.begun.map(({ bytes }) => bytes.length);
    assertEquals([lengths.pop(), lengths.some((left) => left > 0)], [length, false]);
  }
});

test("WholeSend.revents() has no room while a message is under way, and has it once through", () => {
  using rig = new Rig();
  const { messages, ring } = rig;
  const [asked, others] = [POLLIN | POLLOUT | POLLWRNORM, POLLIN | POLLRDHUP];
  const room = POLLOUT | POLLWRNORM;
  const look = (): unknown[] => [
    messages.revents(asked, others),
    messages.revents(asked, others | room),
    messages.revents(POLLIN, POLLIN),
    [asked, POLLOUT, POLLWRNORM, POLLIN].map((events) => messages.decides(events)),
  ];
  const idle = [others, others | room, POLLIN, [false, false, false, false]];
  assertEquals(look(), idle);
  messages.send(ONE, 0);
  assertEquals(look(), [others, others, POLLIN, [true, true, true, false]]);
  ring.begun[0]!.done(3);
  assertEquals(look(), [others | room, others | room, POLLIN, [true, true, true, false]]);
  messages.send(ONE, 0);
  assertEquals(look(), idle);
});

test("WholeSend.send() says EMSGSIZE where Linux says ENOMEM of what is too large", {
  skip: NO_VSOCK,
}, () => {
  const fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK); // which has a buffer size
  const ring = new FakeRing();
  ring.result = -ERRNO.ENOMEM;
  const messages = new WholeSend(fd, () => ring as unknown as Uring);
  assertSysError("send", "ENOMEM", () => messages.send(new Uint8Array(262_144), 0));
  assertSysError("send", "EMSGSIZE", () => messages.send(new Uint8Array(262_145), 0));
  messages.close();
  close(fd);
});

test("WholeSend.through() resolves once the message is through, or at its signal", async () => {
  using rig = new Rig();
  rig.messages.send(ONE, 0);
  const [over, never] = [new AbortController(), new AbortController()];
  const aborted = rig.messages.through(over.signal);
  const through = rig.messages.through(never.signal);
  over.abort();
  await aborted;
  assertEquals(rig.messages.state, "under way");
  rig.ring.begun[0]!.done(3);
  await through;
});

test("WholeSend.close() keeps the bytes that the kernel reads until it has ended", () => {
  using rig = new Rig();
  rig.messages.send(ONE, 0);
  const { bytes, done } = rig.ring.begun[0]!;
  rig.messages.close();
  assertEquals([bytes, rig.read()], [ONE, 0]);
  done(-ERRNO.EPIPE);
  assertEquals(bytes.length, 0);

  using idle = new Rig();
  idle.ring.result = 3;
  idle.messages.send(ONE, 0);
  idle.messages.close();
  assertEquals([idle.ring.begun[0]!.bytes.length, idle.read()], [0, WOULD_BLOCK]);
});
