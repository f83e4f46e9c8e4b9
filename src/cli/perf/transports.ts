/**
 * What `vsockit perf` can measure. A transport joins by one entry.
 *
 * @module
 */
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from "../../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_ANY, VMADDR_CID_LOCAL } from "../../../ffi/abi/vm_sockets.ts";
import type { Address } from "../../address.ts";
import { openTcp } from "../../kernel/tcp_unix.ts";
import { KernelTransport, openVsock } from "../../kernel/transport.ts";
import { createLoopbackLink, type LoopbackEnd, openLoopback } from "../../loopback/mod.ts";
import type { Socket } from "../../socket.ts";
import type { SocketMaker } from "../../transport.ts";
import { createVsockDevice, type VsockDevice } from "../../vhost_user/device.ts";
import { toInteger, wrongValue } from "../args/values.ts";
import { requireReach } from "../serving/reach.ts";
import { setCredit } from "./credit.ts";
import type { Mode, Plan, TransportName } from "./plan.ts";
import { ANY_HOST, LOCAL_HOST, PAGE_SEGMENT, prepareTcp, resolveHost, whyNotTcp } from "./tcp.ts";

/** Two ends that can reach each other; plain data, for the Workers. */
export interface Link {
  /** For `open()` in the transmitter's Worker. */
  readonly transmitter: unknown;
  /** For `open()` in the receiver's Worker. */
  readonly receiver: unknown;
  /** Where the receiver connects to: a machine, for `address()`. */
  readonly machine: string;
}

/** What makes the sockets of one end. */
export interface Opened extends SocketMaker, Disposable {
  /** Waits until the other end can be reached. */
  ready?(): Promise<void>;
}

/** One way to carry a measurement. */
export interface PerfTransport {
  /**
   * A new link for one measurement; fails where it is known that there is none. Without it only an
   * end of another process can be the other.
   */
  link?(plan: Plan): Link;
  /** Opens one end of a link on the thread that uses it. The caller closes it. */
  open(end: unknown): Opened;
  /** `port` of a machine, or of this one, on whatever it is reached by. */
  address(machine: string | undefined, port: number): Address;
  /** Sets the options of a socket that is going to connect or to listen. */
  prepare(socket: Socket<Address>, plan: Plan): void;
  /** Throws a UsageError where the value of `flag` can be no machine. */
  requireMachine(flag: string, machine: string): void;
  /**
   * Where an end can meet one of another process: what the operand of `-c` means for `address()`
   * and for `open()`; fails where it is known that nothing leads to `port` there. Without it no end
   * can.
   */
  resolve?(machine: string, port: number): string | Promise<string>;
  /**
   * Whether it has MSG_ZEROCOPY: where it is asked for by `--tx-zerocopy`, or always, where nothing
   * can be mapped of what was copied.
   */
  readonly lends?: "asked" | "always";
  /** Whether the kernel chooses the socket buffers unless `--credit` does. */
  readonly tunesBuffers?: boolean;
  /** What `TCP_MAXSEG` is without `--mss`. */
  readonly maxSegment?: number;
  /** Why it cannot receive in this mode; `undefined` where it can. */
  whyNot(mode: Mode): string | undefined;
  /** Whether its sockets stay on the main thread, which a measurement blocks then. */
  readonly inThread?: boolean;
  /** How many wake-ups a warm-up has. */
  readonly warmUpWakeups: number;
}

const NO_MAPPING = "this kernel has no SO_VM_SOCKETS_ZEROCOPY, as no released one has";

/** What both carriers of VM sockets have. */
const VSOCK = {
  address: (cid: string | undefined, port: number): Address => ({
    cid: cid === undefined ? VMADDR_CID_ANY : Number(cid),
    port,
  }),
  prepare: (socket: Socket<Address>, { creditBytes, mode }: Plan): void =>
    setCredit(socket, creditBytes, mode),
  requireMachine: requireCid,
} as const;

/** All of them. */
export const TRANSPORTS: Readonly<Record<TransportName, PerfTransport>> = {
  loopback: {
    link(plan: Plan): Link {
      const [transmitter, receiver] = createLoopbackLink({ largeBlocks: blocksFor(plan) });
      return { transmitter, receiver, machine: String(transmitter.cid) };
    },
    open: (end: unknown): Opened => openLoopback(end as LoopbackEnd),
    ...VSOCK,
    whyNot: (): undefined => undefined,
    warmUpWakeups: 10_000,
  },
  vsock: {
    link: ({ port }: Plan): Link => linkTo(reachable(String(VMADDR_CID_LOCAL), port)),
    open: (): Opened => new OpenVsock(),
    ...VSOCK,
    resolve: reachable,
    lends: "asked",
    whyNot: (mode: Mode): string | undefined =>
      mode === "copy" || openVsock().capabilities.mapRx ? undefined : NO_MAPPING,
    warmUpWakeups: 1_000,
  },
  device: {
    open: (end: unknown): Opened => openDevice(end as DeviceEnd | VsockDevice),
    ...VSOCK,
    inThread: true,
    whyNot: (): undefined => undefined,
    warmUpWakeups: 1_000,
  },
  tcp: {
    link: (): Link => linkTo(LOCAL_HOST),
    open: (end: unknown): Opened => ({
      ...openTcp(String(end ?? ANY_HOST)),
      [Symbol.dispose](): void {},
    }),
    address: (hostname: string = ANY_HOST, port: number): Address => ({ hostname, port }),
    prepare: prepareTcp,
    requireMachine: requireHost,
    resolve: resolveHost,
    lends: "always",
    tunesBuffers: true,
    maxSegment: PAGE_SEGMENT,
    whyNot: whyNotTcp,
    warmUpWakeups: 1_000,
  },
};

/** The end of a device that a VMM connects to. */
interface DeviceEnd {
  readonly socketPath: string;
  readonly guestCid: number;
}

/** Devices stay, from one measurement to the next, as their guests do. */
const devices: Map<string, VsockDevice> = new Map();

function openDevice(end: DeviceEnd | VsockDevice): Opened {
  const device = "guest" in end ? end : keptDevice(end);
  return {
    name: device.name,
    capabilities: device.capabilities,
    socket: (type) => device.socket(type),
    ready: () => device.guest.ready(),
    [Symbol.dispose]: (): void => {},
  };
}

function keptDevice({ socketPath, guestCid }: DeviceEnd): VsockDevice {
  const device = devices.get(socketPath) ?? createVsockDevice({ socketPath, guestCid });
  devices.set(socketPath, device);
  return device;
}

/** Closes what stays open between measurements. */
export function closeDevices(): void {
  for (const device of devices.values()) device.close();
  devices.clear();
}

function linkTo(machine: string): Link {
  return { transmitter: undefined, receiver: machine, machine };
}

function requireCid(flag: string, value: string): void {
  toInteger(flag, value, 0, VMADDR_CID_ANY - 1);
}

/** `cid`, to which the kernel has a way: a guest sends what it has none for to its host. */
function reachable(cid: string, port: number): string {
  requireReach("connect", { cid: Number(cid), port });
  return cid;
}

function requireHost(flag: string, value: string): void {
  if (value === "") throw wrongValue(flag, "be a hostname or an address", value);
}

/** There is nothing to close. */
class OpenVsock extends KernelTransport {
  [Symbol.dispose](): void {}
}

const [FEWEST_BLOCKS, MOST_BLOCKS, SPARE_BLOCKS] = [96, 65_536, 32];

/** Blocks that a link needs so that all the packets fit which the receiver waits for at once. */
function blocksFor({ type, rcvlowatBytes, bufferBytes, txBufferBytes }: Plan): number {
  const packet = Math.min(txBufferBytes, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE);
  const awaited = type === "seqpacket" ? Math.max(rcvlowatBytes, bufferBytes) : rcvlowatBytes;
  const blocks = Math.ceil(awaited / packet) + SPARE_BLOCKS;
  return Math.min(Math.max(blocks, FEWEST_BLOCKS), MOST_BLOCKS);
}
