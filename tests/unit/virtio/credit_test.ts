import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Credit, PACKET_OVERHEAD } from "../../../src/virtio/credit.ts";

test("Credit.space() is the smaller buffer less what is on its way", () => {
  const credit = new Credit(1_000);
  assertEquals(credit.space(), 0);
  credit.learn(4_000, 0);
  assertEquals(credit.space(), 1_000);
  credit.take(900);
  assertEquals(credit.space(), 100);
  credit.learn(500, 0);
  assertEquals(credit.space(), 0); // the peer shrank its buffer: never negative
  credit.learn(500, 900);
  assertEquals(credit.space(), 500);
});

test("Credit.space() survives the wrap of tx_cnt and fwd_cnt at 2^32", () => {
  const credit = new Credit(0xffff_ffff);
  credit.learn(0xffff_ffff, 0);
  credit.take(0xffff_fff0);
  credit.learn(0xffff_ffff, 0xffff_fff0);
  credit.take(0x20);
  assertEquals(credit.txCnt, 0x10);
  assertEquals(credit.space(), 0xffff_ffff - 0x20);
  credit.learn(0xffff_ffff, 0x10);
  assertEquals(credit.space(), 0xffff_ffff);
});

test("Credit.fits() counts the bytes, and the packets at what they cost each", () => {
  const credit = new Credit(10 * PACKET_OVERHEAD);
  assertEquals(credit.fits(1, 9), true);
  assertEquals(credit.fits(1, 10), false);
  assertEquals(credit.fits(10 * PACKET_OVERHEAD, 0), true);
  credit.queued(1);
  assertEquals(credit.fits(10 * PACKET_OVERHEAD, 0), false);
  credit.drained(1);
  assertEquals(credit.fwdCnt, 1);
  assertEquals(credit.untold(), 1);
});

test("Credit.free() is what the peer believes to be free, modulo 2^32", () => {
  const credit = new Credit(262_144);
  credit.queued(262_144);
  credit.drained(196_608);
  assertEquals([credit.free(), credit.untold()], [65_536, 196_608]);
  credit.drained(1);
  assertEquals([credit.free(), credit.untold()], [65_535, 196_609]);
  credit.bufAlloc = 196_000; // shrunk below what the peer was not told of
  assertEquals([credit.free(), credit.untold()], [2 ** 32 - 609, 196_609]);
  credit.lastFwdCnt = credit.fwdCnt;
  assertEquals([credit.free(), credit.untold()], [196_000, 0]);
});

test("Credit.believed() is the smaller buffer less what is queued, and what the peer was not told", () => {
  const credit = new Credit(1_000);
  credit.learn(4_000, 0);
  credit.fwdCnt = credit.lastFwdCnt = 0xffff_fff0;
  const seen = [credit.believed()];
  credit.queued(300);
  seen.push(credit.believed());
  credit.drained(300); // across the wrap
  seen.push(credit.believed());
  assertEquals([credit.fwdCnt, credit.free()], [300 - 16, 700]);
  credit.lastFwdCnt = credit.fwdCnt;
  seen.push(credit.believed());
  credit.learn(500, 0);
  assertEquals([...seen, credit.believed()], [1_000, 700, 700, 1_000, 500]);
});
