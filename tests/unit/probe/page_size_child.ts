/** What receiving over TCP does, and what is said of it, where pages are of 16 KiB. */
import { library } from "../../../ffi/select.ts";
import { connect, listen, probe, VsockError } from "../../../mod.ts";

Object.assign(library().calls, { sysconf: () => 16_384 }); // before anybody has asked
const hostname = "127.0.0.1";
using listener = listen({ hostname, port: 0 });
using near = await connect({ hostname, port: listener.addr.port });
using far = await listener.accept();
let refusal = "";
try {
  far.receiver({ mode: "map" });
} catch (error) {
  if (error instanceof VsockError) refusal = error.message;
}
using receiver = far.receiver();
await near.write(new Uint8Array(100_000).fill(7));
await near.closeWrite();
let bytes = 0;
for await (const batch of receiver) for (const { data } of batch) bytes += data.length;
const { ok, why } = probe(["tcp_receive"]).get("tcp_receive")!;
console.log(JSON.stringify({ bytes, mapped: receiver.mapped, refusal, ok, why }));
