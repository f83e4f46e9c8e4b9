import { test } from "node:test";
import { inspect } from "node:util";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { requireAddress } from "../../src/address.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { requireSocketOptions } from "../../src/options.ts";
import { shown } from "../../src/shown.ts";
import { openPair } from "../helpers/pair.ts";

test("shown() tells a string from a number, and names what is an object", () => {
  const all: readonly (readonly [unknown, string])[] = [
    [5000, "5000"],
    ["5000", '"5000"'],
    ["", '""'],
    ["a\n", '"a\\n"'],
    ["x".repeat(81), "String(81)"],
    [2n, "2n"],
    [NaN, "NaN"],
    [true, "true"],
    [undefined, "undefined"],
    [null, "null"],
    [Symbol("s"), "Symbol(s)"],
    [(): number => 1, "Function"],
    [[1, 2], "Array(2)"],
    [new Uint16Array(3), "Uint16Array(3)"],
    [new ArrayBuffer(16), "ArrayBuffer(16)"],
    [new DataView(new ArrayBuffer(8)), "DataView(8)"],
    [new Map(), "Map"],
    [{ port: 5000 }, "Object"],
    [Object.create(null), "Object"],
    [new Proxy(new Uint8Array(3), {}), "Object"], // whose length throws
  ];
  for (const [value, text] of all) assertEquals(shown(value), text);
});

test("TypeErrors show the type of the wrong value", async () => {
  const says = (text: string, call: () => void): void => void assertThrows(call, TypeError, text);
  says(
    'port: must be a number: current value is "5000"',
    () => requireAddress({ cid: 2, port: "5000" as never }),
  );
  says(
    'bufferSize: must be a number: current value is "1"',
    () => requireSocketOptions({ bufferSize: "1" as never }, { cid: 2, port: 1 }),
  );
  using pair = await openPair();
  const wrong = new Uint16Array(3) as never;
  await assertRejects(() => pair.near.write(wrong), TypeError, "current value is Uint16Array(3)");
});

test("Conn and Listener of the kernel show their addresses, and not how those are encoded", async () => {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  using conn = await connect(listener.addr);
  for (const end of [listener, conn]) {
    const text = inspect(end);
    const port = String(listener.addr.port);
    assertEquals([text.includes(port), text.includes("encode")], [true, false], text);
  }
});
