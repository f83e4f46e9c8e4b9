import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { UntilMark } from "./port.ts";

/** Writes the pieces; gives what passes, and what was found. */
async function pass(pieces: readonly string[]): Promise<[passed: string, found: string[]]> {
  const found: string[] = [];
  const stream = new UntilMark("##end ", (line) => found.push(line));
  for (const piece of pieces) stream.write(Buffer.from(piece));
  stream.end();
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return [Buffer.concat(chunks).toString(), found];
}

test("UntilMark passes on what comes before the mark, however it is cut", async () => {
  const text = "a # b ##en c ###end 42\n";
  for (let size = 1; size <= text.length; size++) {
    const pieces = text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
    assertEquals(await pass(pieces), ["a # b ##en c #", ["42\n"]]);
  }
});

test("UntilMark passes on all where the mark does not come", async () => {
  assertEquals(await pass(["some ", "##en"]), ["some ##en", []]);
  assertEquals(await pass([]), ["", []]);
});

test("UntilMark gives what might be the mark's begin as soon as it is not", async () => {
  const stream = new UntilMark("##end ", () => {});
  const heard: string[] = [];
  stream.on("data", (chunk: Buffer) => heard.push(chunk.toString()));
  for (const piece of ["x#", "#", "y"]) {
    await new Promise((resolve) => stream.write(piece, resolve));
  }
  assertEquals(heard.join("|"), "x|##y");
});
