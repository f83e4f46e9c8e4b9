import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW } from "../../../ffi/abi/vm_sockets.ts";
import { ERRNO } from "../../../ffi/errno.ts";
import { createLoopback, ManualClock } from "../../../src/loopback/mod.ts";

test("ManualClock.advance() runs what becomes due at its own time and in its order", () => {
  const clock = new ManualClock();
  const ran: string[] = [];
  clock.after(20, () => ran.push(`b ${clock.now()}`));
  clock.after(10, () => {
    ran.push(`a ${clock.now()}`);
    clock.after(5, () => ran.push(`nested ${clock.now()}`));
  });
  const cancel = clock.after(12, () => ran.push("never"));
  clock.after(31, () => ran.push("later"));
  cancel();
  clock.advance(30);
  assertEquals(ran, ["a 10", "nested 15", "b 20"]);
  assertEquals(clock.now(), 30);
});

test("ManualClock.advance() goes on, never back", () => {
  const clock = new ManualClock();
  clock.advance(1_000);
  for (const ms of [-1, NaN]) assertThrows(() => clock.advance(ms), RangeError, "Cannot use ms");
  assertEquals(clock.now(), 1_000);
  clock.after(5, () => clock.advance(100));
  clock.advance(10);
  assertEquals(clock.now(), 1_105);
});

test("connect() that may take years asks for no timer that is longer than there are", () => {
  const clock = new ManualClock();
  const delays: number[] = [];
  const after = (ms: number, run: () => void): () => void => {
    delays.push(ms);
    return clock.after(ms, run);
  };
  const transport = createLoopback({
    clock: { now: () => clock.now(), after },
    faults: { dropAfterBytes: 0 },
  });
  const socket = transport.socket("stream");
  const seconds = 100_000_000;
  const timeout = new Uint8Array(BigInt64Array.of(BigInt(seconds), 0n).buffer);
  socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, timeout);
  socket.connect({ cid: 1, port: 1024 });
  clock.advance(seconds * 1_000 - 1);
  assertEquals(socket.takeError(), 0);
  clock.advance(1);
  assertEquals(socket.takeError(), ERRNO.ETIMEDOUT);
  assertEquals([delays.length, Math.max(...delays)], [47, 2 ** 31 - 1]);
  socket.close();
});
