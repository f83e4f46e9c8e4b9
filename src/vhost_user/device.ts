/**
 * The host's end of virtio-vsock: a vhost-user back end that is a transport for programs.
 *
 * @module
 */
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../../ffi/abi/virtio_ring.ts";
import { VIRTIO_VSOCK_F_SEQPACKET } from "../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_ANY, VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import { requirePath, type VsockAddress } from "../address.ts";
import { requireFunction, requireKnown, requireObject, requireU32 } from "../arguments.ts";
import { Conn } from "../conn.ts";
import { attempt } from "../error.ts";
import { leaveUncaught } from "../runtime/uncaught.ts";
import type { SocketType } from "../socket.ts";
import type { Tap } from "../stack/node.ts";
import { StackTransport } from "../stack/transport.ts";
import type { Transport } from "../transport.ts";
import { Guest } from "./guest.ts";
import { DeviceNode } from "./node.ts";
import { ServedGuest, type VsockGuest } from "./served_guest.ts";
import { bit, VIRTIO_F_VERSION_1 } from "./protocol.ts";

/** What a guest's driver may use; all of it unless given. */
export interface VsockDeviceFeatures {
  /** `VIRTIO_VSOCK_F_SEQPACKET`: messages. @default {true} */
  readonly seqpacket?: boolean | undefined;
  /** `VIRTIO_RING_F_EVENT_IDX`: fewer notifications. @default {true} */
  readonly eventIdx?: boolean | undefined;
  /** `VIRTIO_RING_F_INDIRECT_DESC`: large packets take one descriptor. @default {true} */
  readonly indirect?: boolean | undefined;
}

/** One guest of a {@linkcode VsockDevice}. */
export interface VsockGuestOptions {
  /** Where its VMM connects to: a Unix socket that is made, with mode 0600. */
  readonly socketPath: string;
  /** Its CID: 3 to 4294967294. */
  readonly guestCid: number;
  /** What its driver may use. @default {all} */
  readonly features?: VsockDeviceFeatures | undefined;
  /**
   * Whether it may connect to other guests of the device that may so too: they set
   * `VMADDR_FLAG_TO_HOST`, where they have a `vhost_vsock` of their own. What one has sent and
   * another does not take is held here, up to 64 MiB; a connection with more is reset.
   *
   * @default {false}
   */
  readonly siblings?: boolean | undefined;
}

/** For {@linkcode createVsockDevice}. */
export interface VsockDeviceOptions extends VsockGuestOptions {
  /**
   * Called when a guest's driver starts to run, and when it stops: `guest.up` tells which. Its
   * connections are over then.
   */
  readonly onState?: ((guest: VsockGuest) => void) | undefined;
  /**
   * Called when a guest connects to a port of the host where nobody listens. Before it returns, it
   * may call `accept`, and then closes that connection, or begin to listen there. Else, or where it
   * throws, the guest is refused.
   */
  readonly onConnect?:
    | ((
      port: number,
      type: SocketType,
      guest: VsockGuest,
      accept: () => Conn<VsockAddress>,
    ) => void)
    | undefined;
  /** Sees every packet, with the time in milliseconds as `performance.now()` counts. */
  readonly tap?: Tap | undefined;
  /**
   * Told what a VMM or a guest has done wrong. The VMM's connection is closed then, or the guest is
   * not served before its driver starts anew; others are served on. Also told what `onState` and
   * `onConnect` throw, which is uncaught without it, as what it throws itself is.
   */
  readonly onFault?: ((error: Error, guest: VsockGuest) => void) | undefined;
}

/** A device that guests have as their vsock: see {@linkcode createVsockDevice}. */
export interface VsockDevice extends Transport, Disposable {
  /** The guest that it was made with. */
  readonly guest: VsockGuest;
  /** All guests, by CID. */
  readonly guests: ReadonlyMap<number, VsockGuest>;
  /**
   * Serves one more guest, whose CID no other has.
   *
   * @throws {RangeError} If `guestCid` is out of range, or another guest's.
   * @throws {TypeError} If an option is of another type, or there is no such feature.
   * @throws {VsockError} `EADDRINUSE` if somebody listens on `socketPath`.
   */
  addGuest(options: VsockGuestOptions): VsockGuest;
  /** Closes all guests, and all listeners for them. The second call does nothing. */
  close(): void;
}

/**
 * Becomes the vsock device of guests: a vhost-user back end, which a VMM such as QEMU connects to,
 * and which needs no kernel module, no `/dev` and no root. It is a transport: `connect()` by it
 * reaches into a guest, and `listen()` is what guests find at CID 2.
 *
 * The guest's memory must be a memfd of ordinary pages that is sealed against shrinking, as
 * `memory-backend-memfd,share=on` makes it. What was received stays there where a socket has
 * `zeroCopyReceive` on, until its batch is released: nothing is copied, on any kernel, and the
 * guest could write to it meanwhile (`volatile`).
 *
 * A VMM that pauses its guest stops the device meanwhile, which ends all connections: the guest is
 * told so when it goes on. Neither a VMM nor its guest can make the device wait, but for this: to
 * close a descriptor that a VMM has sent, of a file of FUSE or NFS, takes as long as the server of
 * that file does.
 *
 * It does not keep the process alive; what waits on its sockets does. Deno wants `--allow-read` and
 * `--allow-write` of `socketPath` for it.
 *
 * @returns The device. The caller closes it; `using` does so.
 * @throws {RangeError} If `guestCid` is out of range.
 * @throws {TypeError} If an option is of another type, or there is no such feature.
 * @throws {VsockError} `EADDRINUSE` if somebody listens on `socketPath`.
 *
 * @example Listen for a guest
 * ```ts
 * import { listen } from "@vsockit/vsockit";
 * import { createVsockDevice } from "@vsockit/vsockit/device";
 *
 * const socketPath = `/tmp/vsockit-${crypto.randomUUID()}.sock`;
 * using device = createVsockDevice({ socketPath, guestCid: 3 });
 * // qemu-system-x86_64 -m 2G -object memory-backend-memfd,id=mem,size=2G,share=on \
 * //   -machine memory-backend=mem -chardev socket,id=v,path=<socketPath> \
 * //   -device vhost-user-vsock-pci,chardev=v ...
 * using listener = listen({ cid: 2, port: 1024 }, { transport: device });
 * console.log(listener.addr.port, device.guest.up); // 1024 false
 * ```
 */
export function createVsockDevice(options: VsockDeviceOptions): VsockDevice {
  requireObject("options", options);
  for (const name of ["onState", "onConnect", "tap", "onFault"] as const) {
    if (options[name] !== undefined) requireFunction(name, options[name]);
  }
  return new Device(options);
}

class Device extends StackTransport implements VsockDevice {
  readonly guest: VsockGuest;
  readonly #node: DeviceNode;
  readonly #guests: Map<number, ServedGuest> = new Map();
  readonly #options: VsockDeviceOptions;

  constructor(options: VsockDeviceOptions) {
    const node = new DeviceNode(options.tap, {
      fault: (cid, error) => this.#fault(cid, error),
      state: (cid) => this.#callBack(cid, (guest) => options.onState?.(guest)),
      connect: (cid, port, type, accept) =>
        this.#callBack(cid, (guest) => {
          const open = (): Conn<VsockAddress> =>
            new Conn(attempt("accept", { cid: VMADDR_CID_HOST, port }, accept));
          options.onConnect?.(port, type, guest, open);
        }),
    });
    super("device", node);
    this.#node = node;
    this.#options = options;
    this.guest = this.addGuest(options);
  }

  get guests(): ReadonlyMap<number, VsockGuest> {
    return this.#guests;
  }

  addGuest(options: VsockGuestOptions): VsockGuest {
    requireObject("options", options);
    const { socketPath: path, guestCid: cid, features = {}, siblings = false } = options;
    requirePath("socketPath", path);
    requireKnown("features", features, FEATURES);
    requireU32("guestCid", cid);
    if (cid <= VMADDR_CID_HOST || cid === VMADDR_CID_ANY || this.#guests.has(cid)) {
      throw new RangeError(
        `Cannot use guestCid: must be from 3 to 4294967294, and no other guest's: ` +
          `current value is ${cid}`,
      );
    }
    const guest = new Guest(cid, this.#node);
    const served = attempt(
      "listen",
      { path },
      () =>
        new ServedGuest(path, guest, featureBits(features), {
          watcher: this.#node.watcher,
          hold: this.#node.hold,
          fault: (error) => this.#fault(cid, error),
          closed: () => {
            this.#guests.delete(cid);
            this.#node.removeGuest(guest);
          },
        }),
    );
    this.#node.addGuest(guest, siblings);
    this.#guests.set(cid, served);
    return served;
  }

  close(): void {
    for (const guest of this.#guests.values()) guest.close();
    for (const listener of this.#node.listening) listener[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What the program throws concerns it alone: its guests are served on. */
  #callBack(cid: number, call: (guest: VsockGuest) => void): void {
    const guest = this.#guests.get(cid);
    if (guest === undefined) return;
    try {
      call(guest);
    } catch (error) {
      if (this.#options.onFault === undefined) leaveUncaught(error);
      else this.#fault(cid, error as Error);
    }
  }

  #fault(cid: number, error: Error): void {
    const guest = this.#guests.get(cid);
    if (guest === undefined) return;
    try {
      this.#options.onFault?.(error, guest);
    } catch (thrown) {
      leaveUncaught(thrown);
    }
  }
}

const FEATURES: readonly (keyof VsockDeviceFeatures)[] = ["seqpacket", "eventIdx", "indirect"];

function featureBits(features: VsockDeviceFeatures): bigint {
  const { seqpacket = true, eventIdx = true, indirect = true } = features;
  const bits = [
    VIRTIO_F_VERSION_1,
    ...seqpacket ? [VIRTIO_VSOCK_F_SEQPACKET] : [],
    ...eventIdx ? [VIRTIO_RING_F_EVENT_IDX] : [],
    ...indirect ? [VIRTIO_RING_F_INDIRECT_DESC] : [],
  ];
  return bits.map(bit).reduce((sum, one) => sum | one);
}
