/**
 * Receivers: batches of packets out of a socket, mapped where that works, copied where not.
 *
 * @module
 */
import { PROT_READ } from "../../ffi/abi/mman.ts";
import { VIRTIO_VSOCK_SEQ_EOM, VIRTIO_VSOCK_SEQ_EOR } from "../../ffi/abi/virtio_vsock.ts";
import { USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import { isDeniedMemory } from "../../ffi/backend.ts";
import { isSysError } from "../../ffi/errno.ts";
import type { Address } from "../address.ts";
import { requireInteger, requireObject } from "../arguments.ts";
import { toVsockError, VsockError } from "../error.ts";
import { shown } from "../shown.ts";
import type { AnySocket } from "../socket.ts";
import { getOption, RCVLOWAT, ZERO_COPY_RECEIVE } from "../sockopt.ts";
import type { WaitOptions } from "../wait/waiting.ts";
import { KernelSocket } from "../kernel/socket.ts";
import { StackSocket } from "../stack/socket.ts";
import { AutoSource } from "./auto.ts";
import type { Batch } from "./batch.ts";
import { CopiedSource } from "./copied.ts";
import { MappedSource } from "./mapped.ts";
import { SocketReceiver } from "./socket_receiver.ts";
import type { Source } from "./source.ts";
import { TcpSource } from "./tcp.ts";

/** For `Conn.receiver()`. */
export interface ReceiverOptions {
  /**
   * - `"map"` lends the pages that packets arrived in; over TCP, what is no whole page is copied.
   * - `"copy"` receives into a buffer, by recv(2).
   * - `"auto"` copies where the socket cannot map. Where it can, which is TCP, or a VM socket with
   *   `zeroCopyReceive`, it does what is cheaper for as many bytes as a wake-up brings, as measured
   *   in this process: see `receiveCosts()`. Messages are always mapped then, and so is all that
   *   comes over a loopback with a seed.
   *
   * @default {"auto"}
   */
  readonly mode?: "auto" | "map" | "copy" | undefined;
  /** Most that one batch holds, in data pages of 4096 bytes: 1 to 262143. @default {128} */
  readonly pages?: number | undefined;
  /** The same in bytes, rounded up to pages; give one of the two. */
  readonly bufferBytes?: number | undefined;
}

/** How to wait for data. */
export interface ReceiveOptions extends WaitOptions {
  /**
   * `"poll"`: poll(2), or the event loop. `"spin"`: look at `poll_value` in page 0, which takes a
   * core and no system call, save one in 50 ms; as `"poll"` where nothing is mapped, or where
   * nobody could write it meanwhile.
   *
   * @default {"poll"}
   */
  readonly wait?: "poll" | "spin" | undefined;
}

/** {@linkcode ReceiveOptions} of the calls that block: nothing can abort a signal meanwhile. */
export type ReceiveSyncOptions = Omit<ReceiveOptions, "signal">;

/**
 * Takes batches out of one socket, one at a time. `SO_RCVLOWAT` is honoured in both ways to wait.
 *
 * Iterating it asynchronously gives batch after batch until end of stream, and releases each one
 * after the loop's body.
 *
 * Each call that dequeues throws a `VsockError`: `EBUSY` (nothing changed) while a batch is not
 * released or another `receive()` waits, `EBADF` after `close()`, `EPROTO` where page 0 makes no
 * sense, and the error that ended the connection (`SO_ERROR`) where that was no clean end.
 */
export interface Receiver extends AsyncIterable<Batch>, Disposable {
  /** Whether batches are lent from a mapping; in mode `"auto"` whether they may be. */
  readonly mapped: boolean;
  /**
   * Waits for data.
   *
   * @returns The next batch, which the caller releases, or `null` at end of stream.
   * @throws {VsockError} `ETIMEDOUT` past `timeoutMs`.
   */
  receive(options?: ReceiveOptions): Promise<Batch | null>;
  /** One dequeue, whatever `SO_RCVLOWAT` is; `undefined` where nothing is queued now. */
  tryReceive(): Batch | null | undefined;
  /**
   * Blocks this thread until a dequeue is worth while; `false` where `timeoutMs` is over.
   *
   * @throws {VsockError} `EOPNOTSUPP` where it could never end: a loopback inside one event loop.
   */
  waitSync(options?: ReceiveSyncOptions): boolean;
  /** `receive()` that blocks this thread. */
  receiveSync(options?: ReceiveSyncOptions): Batch | null;
  /**
   * Releases the open batch, ends a waiting `receive()` with `EBADF`, and unmaps. The socket stays
   * open and the caller's. The second call does nothing.
   */
  close(): void;
}

const DEFAULT_PAGES = 128;
const MAX_PAGES = 2 ** 18 - 1;
const MODES: readonly unknown[] = ["auto", "map", "copy"];
/** The header flags that mean something on SEQPACKET; on STREAM none does. */
const SEQ_FLAGS = VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR;

/**
 * Opens a receiver on a connected socket. For it to map, `SO_VM_SOCKETS_ZEROCOPY` has to be turned
 * on before connect(2), and such a socket can be mapped once. TCP needs no option
 * (`TCP_ZEROCOPY_RECEIVE`), but bytes that arrive in whole pages: `maxSegment` sees to that.
 *
 * @returns The receiver. The caller closes it, and the socket after it.
 * @throws {RangeError} If `pages` or `bufferBytes` is out of range.
 * @throws {VsockError} With mode `"map"`: `EOPNOTSUPP` where the transport cannot map or
 * `SO_VM_SOCKETS_ZEROCOPY` is off, `EBUSY` where the socket was mapped before.
 */
export function openReceiver(
  socket: AnySocket,
  options: ReceiverOptions = {},
  onClose: () => void = () => {},
): Receiver {
  requireObject("options", options);
  const { mode = "auto" } = options;
  if (!MODES.includes(mode)) {
    throw new TypeError(
      `Cannot use mode: must be "auto", "map" or "copy": current value is ${shown(mode)}`,
    );
  }
  const pages = pagesOf(options);
  return new SocketReceiver(socket, peerOf(socket), openSource(socket, mode, pages), onClose);
}

function pagesOf({ pages, bufferBytes }: ReceiverOptions): number {
  if (bufferBytes === undefined) {
    const count = pages ?? DEFAULT_PAGES;
    requireInteger("pages", count, 1, MAX_PAGES);
    return count;
  }
  if (pages !== undefined) {
    throw new TypeError(
      "Cannot use bufferBytes: must not be given with pages: " +
        `current value is ${shown(bufferBytes)}`,
    );
  }
  requireInteger("bufferBytes", bufferBytes, 1, MAX_PAGES * USR_PAGE_SIZE);
  return Math.ceil(bufferBytes / USR_PAGE_SIZE);
}

function openSource(socket: AnySocket, mode: "auto" | "map" | "copy", pages: number): Source {
  const copied = (): Source => new CopiedSource(socket, pages * USR_PAGE_SIZE);
  if (mode === "copy" || (mode === "auto" && !mayMap(socket))) return copied();
  if (!mayMap(socket)) {
    const hint =
      "only TCP, and VM sockets that connect or listen gave options.zeroCopyReceive, can map";
    throw new VsockError("mmap", "EOPNOTSUPP", { hint });
  }
  // Of a message that was mapped in part, recv(2) would give the rest as if it were one.
  const maps = mode === "map" || socket.type === "seqpacket" || replays(socket);
  const expected = maps ? 0 : getOption(socket, RCVLOWAT); // where it fails, nothing is mapped yet
  try {
    const mapping = isTcp(socket) ? new TcpSource(socket, pages) : openMapping(socket, pages);
    return maps ? mapping : new AutoSource(copied(), mapping, carrierNameOf(socket), expected);
  } catch (cause) {
    const error = toVsockError("mmap", cause);
    if (mode === "map" || !isUnmappable(error)) throw error;
    return copied();
  }
}

/** TCP needs no option for it. */
function mayMap(socket: AnySocket): boolean {
  return isTcp(socket) || isZerocopyOn(socket);
}

function isTcp(socket: AnySocket): socket is KernelSocket<Address> {
  return socket instanceof KernelSocket && socket.family.name === "tcp";
}

/** Whose costs count for `socket`. */
function carrierNameOf(socket: AnySocket): string {
  if (socket instanceof KernelSocket) return socket.family.name;
  return socket instanceof StackSocket ? socket.carrierName : "loopback";
}

/** Whether which way is taken may not be a matter of time. */
function replays(socket: AnySocket): boolean {
  return socket instanceof StackSocket && socket.replays;
}

function openMapping(socket: AnySocket, pages: number): MappedSource {
  const mapping = socket.mmap((1 + pages) * USR_PAGE_SIZE, PROT_READ);
  try {
    return new MappedSource(mapping, socket.type === "seqpacket" ? SEQ_FLAGS : 0);
  } catch (error) {
    mapping.unmap();
    throw error;
  }
}

/** `false` too where the option is unknown, as to every released kernel, or of another family. */
function isZerocopyOn(socket: AnySocket): boolean {
  try {
    return getOption(socket, ZERO_COPY_RECEIVE);
  } catch (error) {
    if (error instanceof VsockError && UNKNOWN_OPTION.has(error.code)) return false;
    throw error;
  }
}

const UNKNOWN_OPTION: ReadonlySet<string> = new Set(["ENOPROTOOPT", "EOPNOTSUPP"]);

/**
 * Where `"auto"` copies: nothing to map, mapped before, which works once, no memory for it, a
 * sandbox that forbids it, or memory that this runtime may not look at.
 */
const UNMAPPABLE: ReadonlySet<string> = new Set(
  ["EOPNOTSUPP", "ENODEV", "EBUSY", "ENOMEM", "EACCES", "EPERM"],
);

function isUnmappable(error: unknown): boolean {
  return isDeniedMemory(error) ||
    (error instanceof VsockError && UNMAPPABLE.has(error.code));
}

/** Known while the socket is connected; for messages only. */
function peerOf(socket: AnySocket): Address | undefined {
  try {
    return socket.remoteAddress();
  } catch (error) {
    if (isSysError(error, "ENOTCONN")) return undefined;
    throw toVsockError("getpeername", error);
  }
}
