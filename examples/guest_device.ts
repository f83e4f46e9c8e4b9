/**
 * The vsock device of one guest, `guest_device.ts SOCKET CID`: it takes flows on port 1024 of CID 2
 * and answers each with its SHA-256. Large packets are hashed where the guest has put them, in its
 * own memory, without a copy. In the guest: `vsockit cat 2:1024 < FILE`, or ncat --vsock.
 */
import { createHash } from "node:crypto";
import process from "node:process";
import { type Conn, listen } from "@vsockit/vsockit";
import { createVsockDevice } from "@vsockit/vsockit/device";

const PORT = 1024;

async function answer(conn: Conn): Promise<void> {
  using _conn = conn;
  const sha256 = createHash("sha256");
  using receiver = conn.receiver({ mode: "map" });
  for await (const batch of receiver) {
    // Lent until the end of this block. The guest could write to it even now: read it only once.
    for (const { data } of batch) sha256.update(data);
  }
  await conn.write(new TextEncoder().encode(`${sha256.digest("hex")}\n`));
  await conn.closeWrite();
}

const [socketPath = "vhost.sock", cid = "3"] = process.argv.slice(2);
using device = createVsockDevice({
  socketPath,
  guestCid: Number(cid),
  onState: (guest) => {
    const { rxBytes, rxBorrowedBytes } = guest.counters;
    if (!guest.up) console.log(`${rxBorrowedBytes} of ${rxBytes} bytes were not copied`);
  },
  onFault: (error) => console.error(String(error)), // others, and its successor, are served on
});
using listener = listen({ cid: 2, port: PORT }, {
  transport: device,
  options: { zeroCopyReceive: true, bufferSize: 1 << 20 },
});
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => listener.close());
console.log(`qemu-system-x86_64 -m 2G -object memory-backend-memfd,id=mem,size=2G,share=on \\
  -machine q35,memory-backend=mem -chardev socket,id=vsock,path=${socketPath} \\
  -device vhost-user-vsock-pci,chardev=vsock ...`);

for await (const conn of listener) {
  answer(conn).catch((error) => console.error(String(error)));
}
