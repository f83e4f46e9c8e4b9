import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { formatTable } from "../../src/cli/ss/command.ts";
import { vsockit } from "./captured.ts";

const ANY = 0xffff_ffff;
const NOBODY = { cid: ANY, port: ANY };
const OPEN = { readClosed: false, writeClosed: false };

test("ss prints a table, the lowest port first", () => {
  const table = formatTable([
    {
      ...OPEN,
      type: "seqpacket",
      state: "CONNECTED",
      inode: 11,
      local: { cid: 3, port: 40_000 },
      remote: { cid: 2, port: 7 },
    },
    {
      ...OPEN,
      type: "stream",
      state: "LISTEN",
      inode: 12,
      local: { cid: ANY, port: 22 },
      remote: NOBODY,
    },
  ]);
  assertEquals(
    table,
    "State      Type       Local    Remote  Inode\n" +
      "LISTEN     stream     *:22     *:*     12\n" +
      "CONNECTED  seqpacket  3:40000  2:7     11\n",
  );
});

test("ss ends with 0 and a table, or with 1 and what to load", async () => {
  const { code, out, err } = await vsockit(["ss"]);
  if (code === 0) return assertMatch(out, /^State +Type +Local +Remote +Inode\n/);
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /^vsockit ss: Cannot (recv|socket): \w+ .*: modprobe vsock(_diag)?\n$/);
});

test("ss ends with 2 for what it does not know", async () => {
  assertEquals((await vsockit(["ss", "-x"])).code, 2);
  assertEquals((await vsockit(["ss", "all"])).code, 2);
});
