/**
 * Sends over a loopback where no memory can be shared, and there is no process, as in a web page
 * that is not isolated.
 */
Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
if (!("Bun" in globalThis)) Reflect.deleteProperty(globalThis, "process"); // Bun's own code has it
const { openPair } = await import("../../helpers/pair.ts");

using pair = await openPair();
await pair.near.write(Uint8Array.of(1, 2, 3));
const p = new Uint8Array(8);
const n = await pair.far.read(p);
console.log(`${p.subarray(0, n ?? 0)}`);
