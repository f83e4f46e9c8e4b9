import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { encodeLine, LineDecoder } from "./json_lines.ts";

test("LineDecoder gives what encodeLine took, however the bytes are cut", () => {
  const messages = [
    { call: { verb: "send", args: [Uint8Array.of(0, 10, 255), 0] } },
    ["ä\n€", null, 1.5, true],
    new Uint8Array(),
    "end",
  ];
  const bytes = new Uint8Array(messages.flatMap((message) => [...encodeLine(message)]));
  for (let size = 1; size <= bytes.length; size++) {
    const decoder = new LineDecoder();
    const got: unknown[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      got.push(...decoder.push(bytes.subarray(at, at + size)));
    }
    assertEquals(got, messages);
  }
});

test("LineDecoder throws where a line is no JSON", () => {
  assertThrows(() => new LineDecoder().push(new TextEncoder().encode("no\n")), SyntaxError);
});
