/** `vsockit cat` over AF_VSOCK. */
import "../../vm/in_guest.ts";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { testCat } from "../../cli/cat_cases.ts";
import { Running } from "../../cli/process.ts";
import { NO_SEQPACKET } from "../kernel.ts";

testCat("AF_VSOCK", () => ({
  listen: "any:any",
  connect: (listening) => `local:${/(\d+)$/.exec(listening)?.[1]}`,
  [Symbol.dispose](): void {},
}), NO_SEQPACKET);

test("cat names the module that is missing", { timeout: 120_000 }, async () => {
  using client = new Running("cat", "77:1024");
  assertEquals(await client.ended, 1);
  assertMatch(
    client.err,
    /^vsockit cat: Cannot connect 77:1024: ENODEV .* modprobe vhost_vsock\n$/,
  );
});
