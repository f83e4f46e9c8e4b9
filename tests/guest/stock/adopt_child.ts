/** Run by adopt_test.ts, which has passed descriptor 3: serves or echoes, as its argument says. */
import "../../vm/in_guest.ts";
import process from "node:process";
import { adoptConn, adoptListener } from "../../../src/kernel/adopt.ts";

const FD = 3;

if (process.argv[2] === "listener") {
  using listener = adoptListener(FD);
  using conn = await listener.accept();
  await conn.write(new TextEncoder().encode(`port ${listener.addr.port}`));
} else {
  using conn = adoptConn(FD);
  const p = new Uint8Array(64);
  for (let n = await conn.read(p); n !== null; n = await conn.read(p)) {
    await conn.write(p.subarray(0, n));
  }
}
