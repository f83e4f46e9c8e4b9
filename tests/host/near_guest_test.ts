/** Conformance from the other side: Linux in a machine is near, the device is far. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { CASES } from "../conformance/cases.ts";
import { serveMessages } from "../conformance/message_channel.ts";
import { RUNTIME } from "../helpers/runtime.ts";
import { DEFAULT_KERNEL, defaultKernel, FLAVOURS } from "../vm/options.ts";
import { Host } from "./booted.ts";
import { GUEST_DIFFERENCES } from "./guest_differences.ts";

test("GUEST_DIFFERENCES are of cases that there are", () => {
  const names = new Set(CASES.map(({ name }) => name));
  assertEquals([...GUEST_DIFFERENCES.keys()].filter((name) => !names.has(name)), []);
});

/** The device is far, and a runtime changes nothing else: conformance_test.ts has it near. */
const notDeno = RUNTIME !== "deno" && "the guest is near: run it on Deno";
const otherKernel = defaultKernel() !== DEFAULT_KERNEL && "there is none: unset VSOCKIT_KERNEL";

for (const flavour of FLAVOURS) {
  const skip = notDeno || (flavour === "lab" && otherKernel);
  test(
    `device and a ${flavour} guest pass all cases of the guest`,
    { timeout: 600_000, skip },
    async () => {
      await using host = await Host.open();
      const command = ["deno", "test", "-A", "--no-check", "tests/host/near_guest.ts"];
      const guest = await host.boot({ flavour, control: host.control.path, command });
      void serveMessages(host.control, host.device);
      const { code, stdout, stderr } = await guest.ended;
      assertEquals(code, 0, `${stdout}${stderr}`);
    },
  );
}
