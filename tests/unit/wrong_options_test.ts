import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { main } from "../../src/cli/mod.ts";
import { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { openHybrid } from "../../src/hybrid/transport.ts";
import { createVmm } from "../../src/hybrid/vmm.ts";
import { openTcp, openUnix } from "../../src/kernel/tcp_unix.ts";
import { Listener } from "../../src/listener.ts";
import {
  createLoopback,
  createLoopbackLink,
  type LoopbackEnd,
  ManualClock,
  openLoopback,
  pcapTap,
} from "../../src/loopback/mod.ts";
import { SocketOptions } from "../../src/options.ts";
import { probe } from "../../src/probe.ts";
import { createVsockDevice } from "../../src/vhost_user/mod.ts";
import { openPair } from "../helpers/pair.ts";

const NONE = [null, 5, "x"] as const;

test("Calls refuse options that are no object, by name", async () => {
  using stream = await openPair();
  using messages = await openPair("seqpacket");
  for (const none of NONE) {
    const options = none as never;
    const calls: readonly (() => unknown)[] = [
      () => stream.near.receiver(options),
      () => stream.near.writableOf(options),
      () => openHybrid("x", options),
      () => createVmm("x", options),
      () => createLoopback(options),
      () => createLoopbackLink(options),
      () => openLoopback(createLoopbackLink()[0], options),
      () => createVsockDevice(options),
      () => pcapTap(() => {}, options),
    ];
    const says = "Cannot use options: must be an object: current value is ";
    for (const call of calls) assertThrows(call, TypeError, says, String(call));
    const sending = messages.near.sendMessage(Uint8Array.of(1), options);
    await assertRejects(() => sending, TypeError, says);
  }
});

test("Constructors refuse a socket that is none", () => {
  for (const none of NONE) {
    for (const made of [Conn, Listener, SocketOptions]) {
      assertThrows(
        () => new made(none as never),
        TypeError,
        "Cannot use socket: must be an object",
      );
    }
  }
});

test("createVsockDevice() refuses what it cannot use, by name, before it makes a socket", () => {
  const device = (options: object): unknown =>
    createVsockDevice({ socketPath: "x", guestCid: 3, ...options });
  for (const name of ["onState", "onConnect", "onFault", "tap"]) {
    assertThrows(() => device({ [name]: {} }), TypeError, `Cannot use ${name}: must be a function`);
  }
  for (const socketPath of [undefined, "", 5]) {
    assertThrows(
      () => device({ socketPath }),
      TypeError,
      "Cannot use socketPath: must be a string",
    );
  }
  assertThrows(
    () => device({ socketPath: "a\0b" }),
    RangeError,
    "Cannot use socketPath: must have",
  );
  assertThrows(() => device({ features: null }), TypeError, "Cannot use features: must be an obj");
  assertThrows(() => device({ features: { eventidx: true } }), TypeError, "has eventidx");
});

test("The loopback refuses a tap, a clock and an end that are none", () => {
  const says = (text: string, call: () => unknown): void =>
    void assertThrows(call, TypeError, text);
  says("Cannot use tap: must be a function", () => createLoopback({ tap: {} as never }));
  const [end] = createLoopbackLink();
  says("Cannot use tap: must be a function", () => openLoopback(end, { tap: {} as never }));
  says("Cannot use write: must be a function", () => pcapTap(undefined as never));
  says("Cannot use clock: must be an object", () => createLoopback({ clock: null as never }));
  says(
    "Cannot use clock.after: must be",
    () => createLoopback({ clock: { now: Date.now } as never }),
  );
  says("Cannot use cids: must be a number", () => createLoopbackLink({ cids: 5 as never }));
  for (const none of [undefined, null, "x", {}, { link: null }, { link: {} }]) {
    says("end must be of createLoopbackLink()", () => openLoopback(none as LoopbackEnd));
  }
  const clock = new ManualClock();
  says("Cannot use ms: must be a number", () => clock.advance(5n as never));
  says("Cannot use run: must be a function", () => clock.after(5, undefined as never));
  assertThrows(() => clock.after(NaN, () => {}), RangeError, "Cannot use ms");
});

test("Makers of sockets refuse a type and a hostname that are none", () => {
  for (const none of [...NONE, "dgram", "toString"]) {
    const says = 'must be "stream" or "seqpacket"';
    assertThrows(() => openUnix().socket(none as never), TypeError, says);
  }
  for (const none of [null, 5, ""]) {
    assertThrows(() => openTcp(none as never), TypeError, "Cannot use hostname: must be a string");
  }
});

test("A signal that is none of this runtime is refused as such", async () => {
  class AbortSignal {}
  const options = { transport: "loopback", signal: new AbortSignal() as never } as const;
  await assertRejects(
    () => connect({ cid: 1, port: 1 }, options),
    TypeError,
    "must be an AbortSignal of this runtime: current value is AbortSignal",
  );
});

test("Numbers that are no numbers are refused as such", async () => {
  const symbol = Symbol("5") as never;
  const address = { cid: 1, port: 1, flags: symbol };
  await assertRejects(() => connect(address), TypeError, "flags: must be a number");
  assertThrows(() => openHybrid("x", { mode: symbol }), TypeError, "mode: must be a number");
  assertThrows(() => openHybrid("x", { timeoutMs: symbol }), TypeError, "timeoutMs: must be a num");
  using pair = await openPair("seqpacket");
  const receiving = pair.near.receiveMessage({ maxBytes: symbol });
  await assertRejects(() => receiving, RangeError, "current value is Symbol(5)");
});

test("probe() and main() refuse a list that is none", async () => {
  assertThrows(() => probe("ffi"), TypeError, "Cannot use names: must be an object");
  const running = main(undefined as never);
  await assertRejects(() => running, TypeError, "Cannot run: args must be an array");
  assertEquals(probe(new Set(["runtime"])).size, 1);
});
