import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { assertEquals } from "@std/assert";
import { Connection } from "../../../src/http/connection.ts";
import { toDuplex } from "../../../src/http/duplex.ts";
import { openPair } from "../../helpers/pair.ts";

test("Connection.handOver() lets its taker idle", async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  const connection = new Connection(pair.near, duplex, 1);
  connection.handOver();
  await connection.closed;
  await delay(20);
  assertEquals(duplex.destroyed, false);
});
