import { connect, listen } from "@vsockit/vsockit";
import { createLoopback } from "@vsockit/vsockit/loopback";

const transport = createLoopback();
const address = { cid: 1, port: 1024 };

using listener = listen(address, { transport });
using client = await connect(address, { transport });
using server = await listener.accept();
const echo = server.readable.pipeTo(server.writable);

await client.write(new TextEncoder().encode("hello over vsock"));
await client.closeWrite();
for await (const bytes of client.readable) {
  console.log(new TextDecoder().decode(bytes));
}
await echo;
