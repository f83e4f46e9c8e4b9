import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { runChild } from "../../helpers/child.ts";

test("createLoopback() of one event loop wants no shared memory and no process to be there", {
  timeout: 60_000,
}, async () => {
  assertEquals(await runChild(new URL("./no_shared_memory_child.ts", import.meta.url)), "1,2,3\n");
});
