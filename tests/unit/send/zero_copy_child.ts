/** Writes over TCP where little memory may be locked; prints what became of it. */
import { pattern } from "../../helpers/pair.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";

const LENGTH = 8 * 1024 * 1024;
const [{ near, far }, { near: other, far: otherFar }] = [await openTcpPair(), await openTcpPair()];
const writing = [near, other].map((conn) => conn.write(pattern(LENGTH), { zeroCopy: true }));
const p = new Uint8Array(1 << 20);
let wrong = 0;
for (const conn of [far, otherFar]) {
  for (let have = 0; have < LENGTH;) {
    const n = await conn.read(p);
    if (n === null) break;
    for (let i = 0; i < n; i++) if (p[i] !== (have + i) % 251) wrong++;
    have += n;
  }
}
const written = await Promise.all(writing);
const { pending, unsupported } = near.zeroCopy;
console.log(JSON.stringify({ written, wrong, pending, unsupported: unsupported ?? null }));
// A write that nobody reads, on a connection that is closed, holds nobody.
near.write(pattern(32 * 1024 * 1024), { zeroCopy: true }).catch(() => {});
near.close();
other.close();
otherFar.close();
