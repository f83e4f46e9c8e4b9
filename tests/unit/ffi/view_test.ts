import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { EpollEvents } from "../../../ffi/abi/epoll.ts";
import { PollFds } from "../../../ffi/abi/poll.ts";
import * as c from "../../../ffi/abi/socket.ts";
import { pointerOf } from "../../../ffi/call.ts";
import * as libc from "../../../ffi/libc.ts";
import { Message } from "../../../ffi/message.ts";
import { plainView } from "../../../ffi/view.ts";

/** Says of itself what is not so; it has 8 bytes. */
class Liar extends Uint8Array<ArrayBuffer> {
  constructor() {
    super(new ArrayBuffer(24), 8, 8);
  }
  override get length(): number {
    return 4096;
  }
  override get byteLength(): number {
    return 4096;
  }
  override get byteOffset(): number {
    return 1 << 30;
  }
  override get buffer(): ArrayBuffer {
    return new ArrayBuffer(4096);
  }
}

/** All that lies around the bytes of a {@linkcode Liar}, and they. */
function whole(liar: Liar): number[] {
  const { get } = Object.getOwnPropertyDescriptor(
    Object.getPrototypeOf(Uint8Array.prototype),
    "buffer",
  )!;
  return [...new Uint8Array(get!.call(liar) as ArrayBuffer)];
}

const AROUND: readonly number[] = Array.from({ length: 8 }, () => 0);

function sockets(): { near: number; far: number } & Disposable {
  const [near, far] = libc.socketpair(c.AF_UNIX, c.SOCK_STREAM | c.SOCK_NONBLOCK);
  return {
    near,
    far,
    [Symbol.dispose](): void {
      libc.close(near);
      libc.close(far);
    },
  };
}

test("send() and recv() go by the bytes that a view has, whatever its class says", () => {
  using pair = sockets();
  assertEquals(libc.send(pair.near, new Liar(), 0), 8);
  assertEquals(libc.send(pair.near, new Uint8Array(20).fill(7), 0), 20);
  const into = new Liar();
  assertEquals(libc.recv(pair.far, into, c.MSG_PEEK), 8);
  assertEquals(libc.recv(pair.far, into, 0), 8);
  assertEquals(libc.read(pair.far, into), 8);
  assertEquals(whole(into), [...AROUND, 7, 7, 7, 7, 7, 7, 7, 7, ...AROUND]);
});

test("sendmsg() and recvmsg() go by the bytes that a view has, whatever its class says", () => {
  using pair = sockets();
  assertEquals(libc.sendmsg(pair.near, new Message([new Liar(), new Liar()]), 0), 16);
  assertEquals(libc.send(pair.near, new Uint8Array(20).fill(7), 0), 20);
  const into = new Liar();
  assertEquals(libc.recvmsg(pair.far, new Message([new Uint8Array(16)]), 0), 16);
  assertEquals(libc.recvmsg(pair.far, new Message([into], { control: new Liar() }), 0), 8);
  assertEquals(whole(into), [...AROUND, 7, 7, 7, 7, 7, 7, 7, 7, ...AROUND]);
});

test("getsockopt() and getsockname() go by the bytes that a view has", () => {
  using pair = sockets();
  const value = new Liar();
  assertEquals(libc.getsockopt(pair.near, c.SOL_SOCKET, c.SO_TYPE, value), 4);
  libc.getsockname(pair.near, value);
  assertEquals(whole(value), [...AROUND, 1, 0, 0, 0, 0, 0, 0, 0, ...AROUND]);
});

test("poll() and epoll_wait() fill no more than there is", () => {
  using pair = sockets();
  const fds = Object.defineProperty(new PollFds(1), "length", { value: 4096 });
  fds.set(0, pair.near, 0);
  assertEquals(libc.poll(fds, 0), 0);
  assertEquals(libc.ppoll(fds, 0), 0);
  const epfd = libc.epoll_create1(0);
  const events = Object.defineProperty(new EpollEvents(0), "length", { value: 4096 });
  assertThrows(() => libc.epoll_wait(epfd, events, 0), Error, "EINVAL");
  libc.close(epfd);
});

test("pointerOf() gives where the bytes of a view are, whatever its class says", () => {
  const liar = new Liar();
  const address = pointerOf(liar);
  Object.setPrototypeOf(liar, Uint8Array.prototype);
  assertEquals(pointerOf(liar), address);
  assertEquals(pointerOf(new Uint8Array(liar.buffer)), address - 8);
});

test("recv() takes views of every kind of buffer, and of another realm", () => {
  using pair = sockets();
  const resizable = new ArrayBuffer(8, { maxByteLength: 64 });
  const shared = new SharedArrayBuffer(8, { maxByteLength: 64 });
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2 });
  const before = new Uint8Array(memory.buffer);
  memory.grow(1);
  const lost = new Uint8Array(new ArrayBuffer(8, { maxByteLength: 8 }), 4, 4);
  (lost.buffer as ArrayBuffer).resize(2);
  const views: Uint8Array[] = [
    new Uint8Array(resizable),
    new Uint8Array(resizable, 3, 5),
    new Uint8Array(shared),
    new Uint8Array(shared, 5),
    new Uint8Array(memory.buffer, 65_530, 12),
    new Uint8Array(8).subarray(8),
    runInNewContext("new Uint8Array(new SharedArrayBuffer(9), 1)"),
    runInNewContext("new Uint8Array(7)"),
    lost,
  ];
  resizable.resize(40);
  shared.grow(40);
  for (const view of views) {
    const sent = Uint8Array.from({ length: view.length }, (_, at) => at + 1);
    if (sent.length > 0) libc.send(pair.near, sent, 0);
    assertEquals(Math.max(0, libc.recv(pair.far, view, 0)), sent.length); // -1 is EAGAIN
    assertEquals(Array.from({ length: view.length }, (_, at) => view[at]), [...sent]);
  }
  assertEquals(before.length, 0);
});

test("send() refuses what only looks like a view", () => {
  using pair = sockets();
  const proxy = new Proxy(new Uint8Array(8), { get: (bytes, key) => Reflect.get(bytes, key) });
  for (const value of [proxy, Object.create(Uint8Array.prototype), Object.create(null)]) {
    assertThrows(
      () => libc.send(pair.near, value, 0),
      TypeError,
      "Cannot use data: must be a typed array or a DataView: current value is [object",
    );
  }
});

test("send() goes by what a view is, whatever it inherits from", () => {
  using pair = sockets();
  const words = Object.setPrototypeOf(new Uint16Array(4), Uint8Array.prototype);
  assertEquals(libc.send(pair.near, words, 0), 8);
  assertEquals(libc.send(pair.near, runInNewContext("new DataView(new ArrayBuffer(3))"), 0), 3);
  const data = Object.setPrototypeOf(new DataView(new ArrayBuffer(8)), Uint8Array.prototype);
  assertThrows(() => libc.send(pair.near, data, 0), TypeError);
});

test("plainView() gives the bytes of a view, cut as the language cuts them", () => {
  const liar = new Liar();
  const plain = plainView(liar);
  plain.subarray(6).set([1, 2]);
  assertEquals(whole(liar), [...AROUND, 0, 0, 0, 0, 0, 0, 1, 2, ...AROUND]);
  assertEquals(plain.length, 8);
  const foreign: Uint8Array = runInNewContext("Uint8Array.of(1, 2, 3).subarray(1)");
  assertEquals([...plainView(foreign).subarray(1)], [3]);
  const bytes = Uint8Array.of(1, 2, 3);
  assertStrictEquals(plainView(bytes), bytes);
});
