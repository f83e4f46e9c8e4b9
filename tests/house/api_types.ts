/**
 * What the types of the API take and what they refuse: `deno task ok` checks it, nothing runs it.
 *
 * @module
 */
import {
  type Address,
  type Conn,
  connect,
  type ConnectOptions,
  type HybridAddress,
  listen,
  type Listener,
  openHybrid,
  openTcp,
  openUnix,
  parseAddress,
  type SocketMaker,
  type TcpAddress,
  type TransportChoice,
  type UnixAddress,
  type VsockAddress,
} from "@vsockit/vsockit";
import { createLoopback } from "@vsockit/vsockit/loopback";

const vsock = { cid: 1, port: 1024 };
const tcp = { hostname: "::1", port: 80 };
const unix = { path: "/run/app.sock" };
const hybrid = { path: "/run/fc.sock", port: 1024 };
const loopback = createLoopback();

/** An address tells the family of the connection. */
export async function families(text: string): Promise<void> {
  const _conns: [
    Conn<VsockAddress>,
    Conn<TcpAddress>,
    Conn<UnixAddress>,
    Conn<HybridAddress>,
    Conn,
    Conn,
  ] = [
    await connect(vsock, { localAddress: vsock }),
    await connect(tcp, { transport: "tcp" }),
    await connect(unix, { transport: "unix" }),
    await connect(hybrid, { transport: "hybrid" }),
    await connect(text),
    await connect(parseAddress(text).address),
  ];
  const _listeners: [Listener<VsockAddress>, Listener<TcpAddress>, Listener<UnixAddress>] = [
    listen(vsock, { transport: "loopback" }),
    listen(tcp, { backlog: 1 }),
    listen(unix),
  ];
  // @ts-expect-error: a connection over TCP has no CID
  (await connect(tcp)).remoteAddr.cid;
}

/** Transports of the family, and for an address of any family all of them. */
export function transports(
  any: Address,
  either: Address | string,
  choice: TransportChoice,
  own: SocketMaker<UnixAddress>,
  every: SocketMaker,
  listener: Listener,
  options: ConnectOptions<Address>,
): void {
  connect(vsock, { transport: loopback });
  connect(vsock, { transport: openHybrid("/run/fc.sock") });
  connect(vsock, { transport: choice });
  connect(tcp, { transport: openTcp("::1") });
  connect(unix, { transport: openUnix() });
  connect(unix, { transport: own });
  connect("vsock:1:1024", { transport: loopback });
  connect("vsock:1:1024", { transport: "loopback" });
  connect(any, { transport: loopback });
  connect(either, { transport: every });
  connect(listener.addr, { transport: every });
  connect(listener.addr, { transport: loopback });
  connect(either, options);
  listen(either, { transport: every });
}

/** An address of any family behind a function of the user's own. */
export function wrapped<A extends Address>(
  address: A | string,
  options: ConnectOptions<A>,
): Promise<Conn<A>> {
  return connect(address, options);
}

/** What would fail in any case is an error of types. */
export function refused(): void {
  // @ts-expect-error: the loopback has no TCP
  connect(tcp, { transport: loopback });
  // @ts-expect-error: the loopback has no TCP
  connect(tcp, { transport: "loopback" });
  // @ts-expect-error: TCP has no CIDs
  connect(vsock, { transport: "tcp" });
  // @ts-expect-error: TCP has no CIDs
  connect(vsock, { transport: openTcp("::1") });
  // @ts-expect-error: no port
  connect(unix, { transport: "hybrid" });
  // @ts-expect-error: the loopback has no paths
  connect(unix, { transport: loopback });
  // @ts-expect-error: of another family
  connect(vsock, { localAddress: tcp });
  // @ts-expect-error: a TCP address has a hostname
  connect({ transport: "tcp", cid: 1, port: 1024 });
  // @ts-expect-error: nothing tells the family
  connect({ port: 1024 });
  // @ts-expect-error: of two families
  connect({ cid: 1, hostname: "::1", port: 1024 });
  // @ts-expect-error: of two families
  connect({ cid: 1, path: "/run/app.sock", port: 1024 });
  // @ts-expect-error: a Unix socket has no port
  connect({ transport: "unix", path: "/run/app.sock", port: 1024 });
  // @ts-expect-error: of two families
  listen({ cid: 1, hostname: "::1", port: 1024 });
  // @ts-expect-error: a Unix socket has no port
  listen({ transport: "unix", path: "/run/app.sock", port: 1024 });
  // @ts-expect-error: no such option
  connect(vsock, { timeout: 1 });
  // @ts-expect-error: no such type
  connect(vsock, { type: "dgram" });
  // @ts-expect-error: the loopback has no TCP
  listen(tcp, { transport: loopback });
  // @ts-expect-error: a Unix socket has no CID
  listen(vsock, { transport: "unix" });
  // @ts-expect-error: a listener waits for nothing
  listen(vsock, { timeoutMs: 1 });
}

/** Options of calls on a connection. */
export function calls(conn: Conn, p: Uint8Array, signal: AbortSignal): void {
  conn.read(p, { timeoutMs: 1, signal, peek: true });
  conn.write(p, { zeroCopy: true });
  conn.receiver({ mode: "map", pages: 4 });
  // @ts-expect-error: nowhere to put the bytes
  conn.read();
  // @ts-expect-error: bytes alone
  conn.write("hello");
  // @ts-expect-error: no such mode
  conn.receiver({ mode: "zerocopy" });
  // @ts-expect-error: a message has no such option
  conn.sendMessage(p, { zeroCopy: true });
}
