/** Conformance of the device and of a guest of it, both in one event loop. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { CASES } from "../conformance/cases.ts";
import { conformance } from "../conformance/suite.ts";
import { deviceLab, DIFFERS, guestLab, LARGE_BUFFERS, PLAIN } from "./lab.ts";

const ROOMY = { buffers: LARGE_BUFFERS, size: 0x200_0000 };

test("DIFFERS are of cases that there are", () => {
  const names = new Set(CASES.map(({ name }) => name));
  assertEquals([...DIFFERS.keys()].filter((name) => !names.has(name)), []);
});

conformance(deviceLab("device", {}));
conformance(
  deviceLab("device (plain)", { ...PLAIN, buffers: [44, 4096], ringSize: 512, regions: 1 }),
);
conformance(deviceLab("device (large)", ROOMY));
conformance(guestLab("guest of a device", ROOMY));
conformance(guestLab("guest of a device (plain)", { ...PLAIN, ...ROOMY }));
