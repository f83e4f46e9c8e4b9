/**
 * VM sockets (AF_VSOCK) for Deno, Bun and Node: connections, messages, zero-copy receive. Begin
 * with {@linkcode connect} and {@linkcode listen}.
 *
 * @example Over the loopback, which needs no permission, no kernel module and no Linux
 * ```ts
 * import { connect, listen } from "@vsockit/vsockit";
 *
 * using listener = listen({ cid: 1, port: 1024 }, { transport: "loopback" });
 * using client = await connect({ cid: 1, port: 1024 }, { transport: "loopback" });
 * using server = await listener.accept();
 * await client.write(new TextEncoder().encode("hello\n"));
 * console.log(await server.read(new Uint8Array(64))); // 6
 * ```
 *
 * @module
 */
export { connect, type ConnectOptions } from "./src/connect.ts";
export { listen, type ListenOptions } from "./src/listen.ts";
export { Conn } from "./src/conn.ts";
export { Listener } from "./src/listener.ts";
export type { Message, ReadOptions, ReceiveMessageOptions } from "./src/conn/input.ts";
export type { SendMessageOptions, WriteOptions } from "./src/conn/output.ts";
export type { ZeroCopyStats } from "./src/send/writes.ts";
export type { WritableOptions } from "./src/conn/streams.ts";
export type { Batch, Packet } from "./src/receive/batch.ts";
export { type ReceiveCost, receiveCosts } from "./src/receive/costs.ts";
export type { ReceiveOptions, Receiver, ReceiverOptions } from "./src/receive/receiver.ts";
export type { ReceiveSyncOptions } from "./src/receive/receiver.ts";
export { SocketOptions, type SocketOptionValues } from "./src/options.ts";
export { type Permissions, restrict } from "./src/permissions.ts";
export type { WaitOptions } from "./src/wait/waiting.ts";
export { type Op, VsockError, type VsockErrorOptions } from "./src/error.ts";
export { FfiUnavailableError } from "./ffi/backend.ts";
export { type Code, SysError } from "./ffi/errno.ts";
export type { Addr, Address, HybridAddr, HybridAddress } from "./src/address.ts";
export type { TcpAddr, TcpAddress, UnixAddr, UnixAddress } from "./src/address.ts";
export type { UnmixedAddress, VsockAddr, VsockAddress } from "./src/address.ts";
export { parseAddress, type ParsedAddress, stringifyAddress } from "./src/address_text.ts";
export { openTcp, openUnix } from "./src/kernel/tcp_unix.ts";
export { type HybridOptions, openHybrid } from "./src/hybrid/transport.ts";
export { createVmm, type HybridFaults, type Vmm, type VmmOptions } from "./src/hybrid/vmm.ts";
export type { DialectName } from "./src/hybrid/dialect.ts";
export type { Family } from "./src/kernel/family.ts";
export { openVsock } from "./src/kernel/transport.ts";
export { adoptConn, adoptListener, adoptSocket } from "./src/kernel/adopt.ts";
export { listenFds, type PassedFd } from "./src/kernel/adopt.ts";
export { listSockets } from "./src/kernel/diag.ts";
export type { SocketEntry, SocketState } from "./src/kernel/diag_message.ts";
export { CAPABILITIES, probe } from "./src/probe.ts";
export type { Finding } from "./src/probe/finding.ts";
export { KernelSocket } from "./src/kernel/socket.ts";
export type { Capabilities, SocketMaker, Transport, TransportChoice } from "./src/transport.ts";
export type { TransportName } from "./src/transport.ts";
export type { AnySocket, MessageFlags, RxMapping, Socket, SocketType } from "./src/socket.ts";
export type { ZeroCopySend } from "./src/socket.ts";
export { Turns } from "./src/wait/turns.ts";
export { VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_HYPERVISOR } from "./ffi/abi/vm_sockets.ts";
export { VMADDR_CID_LOCAL, VMADDR_FLAG_TO_HOST, VMADDR_PORT_ANY } from "./ffi/abi/vm_sockets.ts";
export { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDHUP } from "./ffi/abi/poll.ts";
