import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { fileWriter } from "../../../src/cli/output/printer.ts";

/** A disk with some room, and what is on it. */
function disk(): { text: string; room: number; write(bytes: Uint8Array): number } {
  return {
    text: "",
    room: 0,
    write(bytes): number {
      if (this.room === 0) throw new Error("ENOSPC");
      const taken = bytes.subarray(0, this.room);
      this.room -= taken.length;
      this.text += new TextDecoder().decode(taken);
      return taken.length;
    },
  };
}

test("fileWriter() begins a new line behind one that a full disk has cut", () => {
  const full = disk();
  const write = fileWriter((bytes) => full.write(bytes));
  const expect = (room: number, text: string): void => {
    full.room = room;
    assertThrows(() => write("line\n"), Error, "ENOSPC");
    assertEquals(full.text, text);
  };
  expect(2, "li");
  expect(0, "li");
  expect(1, "li\n"); // the line break alone
  expect(3, "li\nlin");
  full.room = 100;
  for (const text of ["next\n", "1 - ", "ok\n"]) write(text);
  assertEquals(full.text, "li\nlin\nnext\n1 - ok\n");
  full.room = 2;
  assertThrows(() => write("a\nb\n"), Error, "ENOSPC");
  full.room = 9;
  write("c\n");
  assertEquals(full.text, "li\nlin\nnext\n1 - ok\na\nc\n");
});
