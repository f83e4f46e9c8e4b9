/** Payloads in memory that counts who holds it. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { type BorrowedPayload, HeldChain } from "../../../src/vhost_user/borrowed.ts";
import type { GuestRam } from "../../../src/vhost_user/guest_ram.ts";
import type { Chain } from "../../../src/virtio/chain.ts";

const CHAIN: Chain = { head: 0, descriptors: 1, segments: [], readable: 16, writable: 0 };

/** A chain with two payloads of 8 bytes, and what became of it so far. */
class Rig {
  readonly memory: Uint8Array = new Uint8Array(16).fill(1);
  readonly told: string[] = [];
  readonly held: HeldChain;
  readonly payloads: readonly BorrowedPayload[];

  constructor() {
    const tell = (what: string) => (): void => void this.told.push(what);
    const lend = (at: number, length: number): { bytes: Uint8Array; release: () => void } => ({
      bytes: this.memory.subarray(at, at + length),
      release: tell("loan over"),
    });
    const ram = { hold: tell("held"), drop: tell("dropped"), lend };
    this.held = new HeldChain(CHAIN, ram as unknown as GuestRam, tell("given back"));
    const spans = [{ address: 0, length: 8 }, { address: 8, length: 8 }];
    const parts = spans.map(({ address, length }) => lend(address, length).bytes);
    this.payloads = this.held.lend(spans, parts);
  }
}

test("HeldChain goes back with the last of its payloads, once", () => {
  const { payloads, told } = new Rig();
  payloads[1]!.free();
  payloads[1]!.free();
  assertEquals(told, ["held"]);
  payloads[0]!.lend(0, 4);
  payloads[0]!.revoke();
  assertEquals(told, ["held", "loan over"]);
  payloads[0]!.free();
  assertEquals(told, ["held", "loan over", "given back", "dropped"]);
});

test("HeldChain.own() copies what is not done with, once, and goes back when no loan is left", () => {
  const { held, memory, payloads: [lent, gone], told } = new Rig();
  gone!.free();
  lent!.lend(0, 4);
  held.own();
  memory.fill(2);
  assertEquals([lent!.bytes[7], gone!.bytes[7], told.length], [1, 2, 1]);
  const { bytes } = lent!;
  held.own();
  assertEquals(lent!.bytes === bytes, true);
  lent!.revoke();
  const all = ["held", "loan over", "given back", "dropped"];
  assertEquals(told, all);
  const copy = lent!.lend(0, 8);
  assertEquals(copy[0], 1);
  lent!.free();
  assertEquals([copy.length, told], [0, all]);
});

test("HeldChain.own() of what is not lent gives it back at once", () => {
  const { held, told } = new Rig();
  held.own();
  assertEquals(told, ["held", "given back", "dropped"]);
});
