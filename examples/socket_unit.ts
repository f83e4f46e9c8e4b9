/**
 * A service that systemd starts when somebody connects: its socket unit has
 * `ListenStream=vsock::1024`, its service `ExecStart=deno run --allow-ffi --allow-env FILE`.
 */
import { adoptListener, listenFds } from "@vsockit/vsockit";

const [passed] = listenFds();
if (passed === undefined) throw new Error("must be started by systemd: no socket was passed");

using listener = adoptListener(passed.fd);
console.log(`${passed.name} is port ${listener.addr.port}`);
// A service that nobody has asked for a minute ends; systemd starts it again.
for (;;) {
  const conn = await listener.accept({ timeoutMs: 60_000 }).catch((error) => {
    if (error.code !== "ETIMEDOUT") throw error;
  });
  if (!conn) break;
  conn.readable.pipeTo(conn.writable).catch((error) => console.error(String(error)));
}
