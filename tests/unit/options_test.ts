import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { VsockError } from "../../src/error.ts";
import { openTcp } from "../../src/kernel/tcp_unix.ts";
import { createLoopback } from "../../src/loopback/mod.ts";
import {
  applySocketOptions,
  requireSocketOptions,
  SocketOptions,
  type SocketOptionValues,
} from "../../src/options.ts";

const ADDRESS = { cid: 1, port: 1 };

test("SocketOptions has the defaults of Linux", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  assertEquals(options.bufferSize, 262_144);
  assertEquals(options.bufferMinSize, 128);
  assertEquals(options.bufferMaxSize, 262_144);
  assertEquals(options.connectTimeoutMs, 2_000);
  assertEquals(options.rcvlowat, 1);
  assertEquals(options.zeroCopyReceive, false);
  assertEquals(options.zeroCopySend, false);
});

test("SocketOptions gives back what was assigned", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  options.bufferMaxSize = 1 << 20;
  options.bufferMinSize = 4096;
  options.bufferSize = 500_000;
  options.connectTimeoutMs = 1_234;
  options.rcvlowat = 77;
  options.zeroCopyReceive = true;
  options.zeroCopySend = true;
  assertEquals(options.bufferMaxSize, 1 << 20);
  assertEquals(options.bufferMinSize, 4096);
  assertEquals(options.bufferSize, 500_000);
  assertEquals(options.connectTimeoutMs, 1_234);
  assertEquals(options.rcvlowat, 77);
  assertEquals(options.zeroCopyReceive, true);
  assertEquals(options.zeroCopySend, true);
});

test("SocketOptions.bufferSize is clamped to its bounds", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  options.bufferSize = 1 << 30;
  assertEquals(options.bufferSize, 262_144);
  options.bufferSize = 0;
  assertEquals(options.bufferSize, 128);
});

test("SocketOptions.connectTimeoutMs assigns the default by 0", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  options.connectTimeoutMs = 5;
  options.connectTimeoutMs = 0;
  assertEquals(options.connectTimeoutMs, 2_000);
});

const WRONG: readonly SocketOptionValues[] = [
  { bufferSize: -1 },
  { bufferSize: NaN },
  { bufferMinSize: 1.5 },
  { bufferMaxSize: 2 ** 53 },
  { connectTimeoutMs: -1 },
  { connectTimeoutMs: Infinity },
  { rcvlowat: 2 ** 31 },
  { rcvlowat: -1 },
];

test("SocketOptions refuses what is out of range, and changes nothing", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  const before = JSON.stringify([options.bufferSize, options.bufferMaxSize, options.rcvlowat]);
  for (const wrong of WRONG) {
    assertThrows(() => Object.assign(options, wrong), RangeError, "Cannot set ");
    assertThrows(() => requireSocketOptions(wrong, ADDRESS), RangeError, "Cannot set ");
  }
  const after = JSON.stringify([options.bufferSize, options.bufferMaxSize, options.rcvlowat]);
  assertEquals(after, before);
});

test("SocketOptions refuses wrong types", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  for (const wrong of [{ bufferSize: "1" }, { zeroCopyReceive: 1 }, { zeroCopySend: "yes" }]) {
    assertThrows(() => Object.assign(options, wrong), TypeError, "Cannot set ");
    assertThrows(
      () => requireSocketOptions(wrong as unknown as SocketOptionValues, ADDRESS),
      TypeError,
    );
  }
  assertThrows(
    () => requireSocketOptions(null as unknown as SocketOptionValues, ADDRESS),
    TypeError,
  );
});

test("SocketOptions passes on the refusal of the socket", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  const error = assertThrows(() => options.rcvlowat = 262_145, VsockError);
  assertEquals([error.op, error.code], ["setsockopt", "EINVAL"]);
  socket.close();
  assertEquals(assertThrows(() => options.bufferSize, VsockError).code, "EBADF");
});

test("SocketOptions names the option that the socket refuses", () => {
  using socket = openTcp("127.0.0.1").socket("stream");
  const options = new SocketOptions(socket);
  const get = assertThrows(() => options.bufferSize, VsockError);
  const set = assertThrows(() => options.zeroCopyReceive = true, VsockError);
  for (const [error, key] of [[get, "bufferSize"], [set, "zeroCopyReceive"]] as const) {
    assertEquals(
      error.hint,
      `this socket has no ${key}: it is of another family, or the kernel lacks it`,
    );
  }
  const low = assertThrows(() => options.maxSegment = 1, VsockError);
  assertEquals(low.hint, "maxSegment does not take this value, or not any more");
});

test("applySocketOptions() moves the bound that bufferSize needs", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  applySocketOptions(socket, { bufferSize: 8 << 20 });
  assertEquals([options.bufferSize, options.bufferMaxSize], [8 << 20, 8 << 20]);
  applySocketOptions(socket, { bufferSize: 64 });
  assertEquals([options.bufferSize, options.bufferMinSize], [64, 64]);
});

test("applySocketOptions() leaves the bound that is given", () => {
  using socket = createLoopback().socket("stream");
  const options = new SocketOptions(socket);
  applySocketOptions(socket, { bufferSize: 8 << 20, bufferMaxSize: 1 << 20 });
  assertEquals([options.bufferSize, options.bufferMaxSize], [1 << 20, 1 << 20]);
});

test("requireSocketOptions() refuses an option that there is not", () => {
  const misspelt = { bufSize: 1, rcvlowat: 1 } as SocketOptionValues;
  const error = assertThrows(() => requireSocketOptions(misspelt, ADDRESS), TypeError);
  const [, rest] = error.message.split("Cannot use options: must have no members but ");
  assertEquals(rest?.includes("bufferSize, "), true);
  assertEquals(rest?.endsWith(": current value has bufSize"), true);
});

test("requireSocketOptions() refuses an option that the family does not have", () => {
  const tcp = { hostname: "::1", port: 80 };
  assertThrows(
    () => requireSocketOptions({ noDelay: true }, ADDRESS),
    TypeError,
    "Cannot set noDelay: must be on a socket of tcp: current value is true for 1:1",
  );
  assertThrows(() => requireSocketOptions({ bufferSize: 1 }, tcp), TypeError, "of vsock");
  assertThrows(() => requireSocketOptions({ maxSegment: 1 }, { path: "/x" }), TypeError);
  requireSocketOptions({ noDelay: true, receiveBufferSize: 4096, rcvlowat: 1 }, tcp);
  requireSocketOptions({ sendBufferSize: 4096, noDelay: undefined }, { path: "/x" });
});
