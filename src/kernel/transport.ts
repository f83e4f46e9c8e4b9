/**
 * AF_VSOCK of the kernel, as a transport.
 *
 * @module
 */
import { SO_VM_SOCKETS_ZEROCOPY } from "../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK } from "../../ffi/abi/vm_sockets.ts";
import { isSysError, SysError } from "../../ffi/errno.ts";
import { attempt } from "../error.ts";
import type { SocketType } from "../socket.ts";
import type { Capabilities, Transport } from "../transport.ts";
import { VSOCK } from "./family_vsock.ts";
import { openKernelSocket } from "./open.ts";
import { whyNoPages } from "./pages.ts";
import { localCid } from "./reach.ts";
import type { KernelSocket } from "./socket.ts";

/** Makes sockets of the kernel. */
export class KernelTransport implements Transport {
  readonly name: string = "vsock";
  readonly capabilities: Capabilities;

  /** Finds out what the kernel can do, on sockets that it closes at once. */
  constructor() {
    this.capabilities = { mapRx: hasMapRx(), seqpacket: hasSeqpacket(), waitSync: true };
  }

  /** The CID of this machine, asked for each time: a guest that is moved may get another one. */
  get localCid(): number {
    return localCid();
  }

  socket(type: SocketType): KernelSocket {
    return openKernelSocket(VSOCK, type);
  }
}

let shared: KernelTransport | undefined;

/**
 * AF_VSOCK of this machine's kernel, through libc. There is nothing to close.
 *
 * Which CIDs it reaches is up to the kernel: see vsock(7). With `transport: "auto"` it is chosen
 * where it reaches the CID.
 *
 * @throws {FfiUnavailableError} If the runtime cannot call libc; the message has the cure.
 * @throws {VsockError} `EAFNOSUPPORT` if the kernel has no AF_VSOCK.
 *
 * @example Listen on every CID of this machine
 * ```ts ignore
 * import { listen, openVsock, VMADDR_CID_ANY } from "@vsockit/vsockit";
 *
 * using listener = listen({ cid: VMADDR_CID_ANY, port: 5000 }, { transport: openVsock() });
 * for await (const conn of listener) conn.close();
 * ```
 */
export function openVsock(): Transport {
  return shared ??= attempt("socket", undefined, () => new KernelTransport());
}

/** SEQPACKET is there since Linux 5.14. */
function hasSeqpacket(): boolean {
  try {
    using _socket = openKernelSocket(VSOCK, "seqpacket");
    return true;
  } catch (error) {
    if (isSysError(error, "ESOCKTNOSUPPORT")) return false;
    throw error;
  }
}

/** Whether the receive ABI is there: no released kernel has it. */
function hasMapRx(): boolean {
  using socket = openKernelSocket(VSOCK, "stream");
  if (whyNoPages() !== undefined) return false;
  try {
    const value = BigUint64Array.of(1n);
    const bytes = new Uint8Array(value.buffer);
    socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, bytes);
    bytes.fill(0xa5);
    return socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, bytes) === 8 && value[0] === 1n;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}
