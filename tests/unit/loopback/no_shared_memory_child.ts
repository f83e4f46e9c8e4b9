/** Sends over a loopback where no memory can be shared, as in a web page that is not isolated. */
Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
const { openPair } = await import("../../helpers/pair.ts");

using pair = await openPair();
await pair.near.write(Uint8Array.of(1, 2, 3));
const p = new Uint8Array(8);
const n = await pair.far.read(p);
console.log(`${p.subarray(0, n ?? 0)}`);
