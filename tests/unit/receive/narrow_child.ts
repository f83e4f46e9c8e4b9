/** What a receiver in mode `"auto"` does with what a peer sends over TCP, whatever is permitted. */
import { connect, listen } from "../../../mod.ts";

const hostname = "127.0.0.1";
using listener = listen({ hostname, port: 0 });
using near = await connect({ hostname, port: listener.addr.port });
using far = await listener.accept();
using receiver = far.receiver();
await near.write(new Uint8Array(100_000).fill(7));
await near.closeWrite();
let bytes = 0;
for await (const batch of receiver) for (const { data } of batch) bytes += data.length;
console.log(JSON.stringify({ bytes, mapped: receiver.mapped }));
