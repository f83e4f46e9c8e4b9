/** A device without a descriptor left. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { runWithFewDescriptors } from "../helpers/child.ts";

const CHILD = new URL("./full_child.ts", import.meta.url);

test("VsockDevice says that it has no room for a VMM's descriptors, and serves the next one", {
  timeout: 60_000,
}, () => {
  assertEquals(runWithFewDescriptors(CHILD, "memory"), "recvmsg: EMFILE (errno 24)\nserved\n");
});

test("VsockDevice that cannot wait for VMMs as it begins says so, and does once it can", {
  timeout: 60_000,
}, () => {
  assertEquals(runWithFewDescriptors(CHILD, "begin"), "eventfd: EMFILE (errno 24)\nserved\n");
});

test(
  "VsockDevice waits for no descriptor of a VMM to close: one behind more than it has room for",
  {
    timeout: 60_000,
  },
  () => {
    assertEquals(runWithFewDescriptors(CHILD, "close"), "at once\n");
  },
);
