/**
 * What many cases share: connected pairs, options as bytes, errors by code, page 0.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SysError } from "../../ffi/errno.ts";
import { PROT_READ } from "../../ffi/abi/mman.ts";
import { POLLIN, POLLOUT, POLLRDHUP } from "../../ffi/abi/poll.ts";
import { MSG_PEEK, SHUT_WR, SO_RCVLOWAT, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import { SO_VM_SOCKETS_ZEROCOPY } from "../../ffi/abi/virtio_vsock_usr.ts";
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW,
  VMADDR_CID_ANY,
  VMADDR_PORT_ANY,
} from "../../ffi/abi/vm_sockets.ts";
import type { VsockAddress } from "../../src/address.ts";
import type { RxMapping, Socket, SocketType } from "../../src/socket.ts";
import type { Near } from "./case.ts";
import type { Far, FarSocket } from "./far.ts";
import { accepted, connected } from "./verbs.ts";

/** `VMADDR_CID_ANY` and `VMADDR_PORT_ANY`. */
export const ANY: VsockAddress = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };

/** A near socket and the far one it is connected to. */
export interface Ends {
  /** In this thread. */
  readonly here: Socket;
  /** At the far end. */
  readonly there: FarSocket;
}

/** What `pair()` does before it connects. */
export interface PairOptions {
  /** @default {"stream"} */
  readonly type?: SocketType;
  /** Prepares the near socket, unbound yet. */
  readonly here?: (socket: Socket) => void;
  /** Prepares the far listener, whose sockets inherit from it. */
  readonly there?: (listener: FarSocket) => Promise<void>;
}

/** The near end connects to the far end. */
export async function pair(near: Near, far: Far, options: PairOptions = {}): Promise<Ends> {
  const { type = "stream", here: prepare, there: prepareFar } = options;
  const { listener, address } = await farListener(far, type, prepareFar);
  const here = near.socket(type);
  prepare?.(here);
  await connected(here, address);
  const there = await listener.accept();
  await listener.close();
  return { here, there };
}

/** The far end connects to the near end; `here` prepares the near listener. */
export async function pairBack(near: Near, far: Far, options: PairOptions = {}): Promise<Ends> {
  const { type = "stream", here: prepare } = options;
  const { listener, address } = nearListener(near, type, prepare);
  const there = await far.socket(type);
  const connecting = there.connect(address);
  const here = near.keep(await accepted(listener));
  await connecting;
  listener.close();
  return { here, there };
}

/** A listener at the near end, and where the far end reaches it. */
export function nearListener(
  near: Near,
  type: SocketType = "stream",
  prepare?: (socket: Socket) => void,
  backlog = 8,
): { listener: Socket; address: VsockAddress } {
  const listener = near.socket(type);
  prepare?.(listener);
  listener.bind(ANY);
  listener.listen(backlog);
  return { listener, address: { cid: near.cid, port: listener.localAddress().port } };
}

/** A listener at the far end, and where the near end reaches it. */
export async function farListener(
  far: Far,
  type: SocketType = "stream",
  prepare?: (socket: FarSocket) => Promise<void>,
  backlog = 8,
): Promise<{ listener: FarSocket; address: VsockAddress }> {
  const listener = await far.socket(type);
  await prepare?.(listener);
  await listener.bind(ANY);
  await listener.listen(backlog);
  return { listener, address: { cid: far.cid, port: (await listener.localAddress()).port } };
}

/**
 * Returns after what both ends have sent so far has arrived, where the packets of all connections
 * share one queue: several round trips on a connection of its own. Elsewhere it may return early,
 * which can hide a failure but never make one.
 */
export async function settle(near: Near, far: Far): Promise<void> {
  const { here, there } = await pair(near, far);
  for (let turn = 0; turn < 3; turn++) {
    here.send(bytes(1), 0);
    await there.receiveAll(1);
    await there.send(bytes(1));
    await here.wait(POLLIN);
    here.recv(new Uint8Array(1), 0);
  }
  here.close();
  await there.close();
}

/** `length` bytes that differ from their neighbours and from page to page. */
export function bytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(length);
  let state = (seed * 0x9e3779b1) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    all[i] = state >>> 24;
  }
  return all;
}

/** Asserts that `call` throws `code`. */
export function refuses(code: string, call: () => unknown): void {
  const error = assertThrows(call, SysError);
  assertEquals(error.code, code);
}

/** Asserts that `promise` rejects with `code`. */
export async function rejects(code: string, promise: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => promise, Error);
  assertEquals((error as SysError).code, code, error.message);
}

/** A u64 as option value. */
export function u64(value: number | bigint): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

/** An int as option value. */
export function int(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/** A `struct timeval` of 64-bit members as option value. */
export function timeval(seconds: number, microseconds: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigInt64Array.of(BigInt(seconds), BigInt(microseconds)).buffer);
}

/** Reads a u64 option of AF_VSOCK. */
export function getU64(socket: Socket, name: number): number {
  const value = new Uint8Array(8).fill(0xa5);
  assertEquals(socket.getsockopt(AF_VSOCK, name, value), 8);
  return Number(new DataView(value.buffer).getBigUint64(0, true));
}

/** Sets a u64 option of AF_VSOCK. */
export function setU64(socket: Socket, name: number, value: number | bigint): void {
  socket.setsockopt(AF_VSOCK, name, u64(value));
}

/** Sets `SO_VM_SOCKETS_CONNECT_TIMEOUT` in milliseconds. */
export function setConnectTimeout(socket: Socket, ms: number): void {
  const value = timeval(Math.floor(ms / 1000), (ms % 1000) * 1000);
  socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, value);
}

/** Reads `SO_VM_SOCKETS_CONNECT_TIMEOUT` in milliseconds. */
export function getConnectTimeout(socket: Socket): number {
  const value = new Uint8Array(16).fill(0xa5);
  assertEquals(socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, value), 16);
  const [seconds, microseconds] = new BigInt64Array(value.buffer);
  return Number(seconds) * 1000 + Number(microseconds) / 1000;
}

/** Makes the receive buffer `size` bytes, raising its upper bound where needed. */
export function setBuffer(socket: Socket, size: number): void {
  if (size > 262144) setU64(socket, SO_VM_SOCKETS_BUFFER_MAX_SIZE, size);
  setU64(socket, SO_VM_SOCKETS_BUFFER_SIZE, size);
}

/** The same at the far end. */
export async function setFarBuffer(socket: FarSocket, size: number): Promise<void> {
  if (size > 262144) await socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, u64(size));
  await socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, u64(size));
}

/** Sets SO_RCVLOWAT. */
export function setRcvlowat(socket: Socket, value: number): void {
  socket.setsockopt(SOL_SOCKET, SO_RCVLOWAT, int(value));
}

/** Pairs whose near buffer is `here` bytes and far buffer `there`. */
export function buffers(here: number, there: number, type: SocketType = "stream"): PairOptions {
  return {
    type,
    here: (socket) => setBuffer(socket, here),
    there: (listener) => setFarBuffer(listener, there),
  };
}

/** Asserts which of IN, OUT and RDHUP hold, and that nothing else does. */
export function assertPoll(
  socket: Socket,
  expected: number,
  asked: number = POLLIN | POLLOUT,
): void {
  const got = socket.poll(asked);
  assertEquals(got, expected, `poll gave 0x${got.toString(16)}, not 0x${expected.toString(16)}`);
}

/** Switches zero-copy receive on or off. */
export function setZerocopy(socket: Socket, on: number | bigint): void {
  setU64(socket, SO_VM_SOCKETS_ZEROCOPY, on);
}

/** A near socket that receives by mapping, its mapping of `pages` data pages, and the far end. */
export async function mappedPair(
  near: Near,
  far: Far,
  pages: number,
  options: PairOptions = {},
): Promise<Ends & { mapping: RxMapping }> {
  const ends = await pair(near, far, {
    ...options,
    here: (socket) => {
      setZerocopy(socket, 1);
      options.here?.(socket);
    },
  });
  return { ...ends, mapping: mapOf(near, ends.here, pages) };
}

/** A pair of streams as {@linkcode mappedPair} opens it; all `sends` of the far end have come. */
export async function filledPair(
  near: Near,
  far: Far,
  pages: number,
  ...sends: readonly Uint8Array[]
): Promise<Ends & { mapping: RxMapping }> {
  const ends = await mappedPair(near, far, pages);
  for (const send of sends) await ends.there.sendAll(send);
  await queued(ends.here, sends.reduce((sum, { length }) => sum + length, 0));
  return ends;
}

/** mmap(2) of `socket` with `pages` data pages, unmapped when the case is over. */
export function mapOf(near: Near, socket: Socket, pages: number): RxMapping {
  const mapping = socket.mmap((1 + pages) * 4096, PROT_READ);
  near.keep({ [Symbol.dispose]: () => mapping.unmap() });
  return mapping;
}

/** Page 0 and what it describes, copied. */
export interface Mapped {
  /** `poll_value`, unsigned. */
  readonly pollValue: number;
  /** `hdr_num`: data pages. */
  readonly pages: number;
  /** `[length, flags]` of each packet, up to the end marker or the last page. */
  readonly headers: readonly (readonly [number, number])[];
  /** The bytes of each packet. */
  readonly data: readonly Uint8Array[];
}

/** Word `index` of page 0, as `UsrHdrPage` reads it. */
export function wordOf({ page0 }: RxMapping, index: number): number {
  const shared = page0.buffer instanceof SharedArrayBuffer;
  return (shared ? Atomics.load(page0, index) : page0[index]!) >>> 0;
}

/** Reads page 0 the way a receiver does and copies the packets. */
export function readMapping(mapping: RxMapping): Mapped {
  const word = (index: number): number => wordOf(mapping, index);
  const headers: [number, number][] = [];
  const data: Uint8Array[] = [];
  const pages = word(1);
  for (let page = 0; page < pages;) {
    const at = 2 + 2 * headers.length;
    const length = word(at);
    assert(length > 0, `a header of ${page} of ${pages} pages has length 0`);
    headers.push([length, word(at + 1)]);
    data.push(mapping.lend(page, length).slice());
    page += Math.ceil(length / 4096);
    assert(page <= pages, `a header runs past ${pages} pages`);
  }
  return { pollValue: word(0), pages, headers, data };
}

/** mapRx(), read, advise(). */
export function takeMapped(mapping: RxMapping): Mapped {
  mapping.mapRx();
  const mapped = readMapping(mapping);
  mapping.advise();
  return mapped;
}

/** Waits until at least `count` bytes of a stream are queued at `socket`, by looking again. */
export async function queued(socket: Socket, count: number): Promise<void> {
  const look = new Uint8Array(count);
  while (socket.recv(look, MSG_PEEK) < count) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Everything the far end sent has arrived at `here`, and the end of it too. */
export async function arrived({ here, there }: Ends): Promise<void> {
  await there.shutdown(SHUT_WR);
  await here.wait(POLLRDHUP);
}
