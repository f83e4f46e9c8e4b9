/**
 * Which machines the kernel can reach, found out by looking: nothing here connects or sends.
 *
 * @module
 */
import { SOCK_CLOEXEC, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import {
  AF_VSOCK,
  IOCTL_VM_SOCKETS_GET_LOCAL_CID,
  SockaddrVm,
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
  VMADDR_FLAG_TO_HOST,
  VMADDR_PORT_ANY,
} from "../../ffi/abi/vm_sockets.ts";
import { FfiUnavailableError } from "../../ffi/backend.ts";
import { isSysError, SysError } from "../../ffi/errno.ts";
import { bind, close, ioctl, socket } from "../../ffi/libc.ts";
import type { VsockAddress } from "../address.ts";
import { fs } from "../runtime/builtins.ts";
import { EXHAUSTED } from "../error.ts";
import { hintFor } from "../hint.ts";

/** What shows that there is a transport from a guest to its host. */
const GUEST_TRACES = [
  "/sys/module/vmw_vsock_virtio_transport",
  "/sys/bus/virtio/drivers/vmw_vsock_virtio_transport", // where it is built in
  "/sys/module/vmw_vsock_vmci_transport",
  "/sys/module/hv_sock",
];
const LOAD_LOOPBACK = "vsock_loopback is not loaded: modprobe vsock_loopback";
const LOAD_GUEST = "no transport to a host is loaded: modprobe vmw_vsock_virtio_transport";
const LOAD_HOST = "no transport to guests is loaded: modprobe vhost_vsock";
/** Whose CIDs this network namespace has, from Linux 7.0 on: `global` or `local`, its own. */
export const NS_MODE = "/proc/sys/net/vsock/ns_mode";
const OWN_CIDS = "this network namespace has CIDs of its own, and no host: its ns_mode is local";

/** The transports of AF_VSOCK that the kernel has loaded. */
export interface KernelTransports {
  /** `vsock_loopback`: this machine itself, as CID 1. */
  readonly local: boolean;
  /** To the host, where this is a guest: its CID here, or `VMADDR_CID_ANY` if that is unknown. */
  readonly guestCid: number | undefined;
  /** `vhost_vsock` or such: to the guests of this machine, which has CID 2 for them. */
  readonly host: boolean;
  /** Whether this is a guest, and this network namespace is kept from its host. */
  readonly hostless: boolean;
}

/**
 * What the kernel has loaded; a text that says why there is no AF_VSOCK at all. Throws a `SysError`
 * where descriptors or memory have run out, as nothing can be told then.
 *
 * bind(2) tells: it takes exactly the CIDs that some transport calls its own (`vsock_find_cid()` in
 * net/vmw_vsock/af_vsock.c), whether that is a module or built in.
 */
export function kernelTransports(): KernelTransports | string {
  try {
    const [local, host] = [binds(VMADDR_CID_LOCAL), binds(VMADDR_CID_HOST)];
    const cid = guestCid();
    return { local, host, guestCid: cid, hostless: cid !== undefined && isHostless(cid) };
  } catch (error) {
    if (error instanceof FfiUnavailableError) return error.message;
    if (!(error instanceof SysError) || EXHAUSTED.has(error.code)) throw error;
    return hintFor("socket", error.code) ?? `AF_VSOCK cannot be used: ${error.message}`;
  }
}

/** Why the kernel cannot connect to `address`; `undefined` where it has a way. */
export function whyNotConnect(
  address: VsockAddress,
  transports: KernelTransports | string = kernelTransports(),
): string | undefined {
  if (typeof transports === "string") return transports;
  const { local, guestCid, host, hostless } = transports;
  const { cid, flags = 0 } = address;
  if (cid === VMADDR_CID_LOCAL) return local ? undefined : LOAD_LOOPBACK;
  if (cid === guestCid && cid !== VMADDR_CID_ANY) {
    return local ? undefined : `it is this machine: ${LOAD_LOOPBACK}`;
  }
  if (cid === VMADDR_CID_HOST && guestCid === undefined && local) return undefined;
  const toHost = cid <= VMADDR_CID_HOST || (flags & VMADDR_FLAG_TO_HOST) !== 0;
  if (!toHost && host) return undefined;
  if (guestCid !== undefined) return hostless ? OWN_CIDS : undefined;
  return toHost ? LOAD_GUEST : LOAD_HOST;
}

/** Why the kernel cannot listen on `address`; `undefined` where it can. */
export function whyNotListen(
  { cid }: VsockAddress,
  transports: KernelTransports | string = kernelTransports(),
): string | undefined {
  if (typeof transports === "string") return transports;
  const { local, guestCid, host } = transports;
  switch (cid) {
    case VMADDR_CID_ANY:
      if (local || host || guestCid !== undefined) return undefined;
      return "no transport is loaded: modprobe vsock_loopback, or vhost_vsock on a host";
    case VMADDR_CID_LOCAL:
      return local ? undefined : LOAD_LOOPBACK;
    case VMADDR_CID_HOST:
      return host ? undefined : LOAD_HOST;
    case guestCid:
      return undefined;
    default:
      if (guestCid === VMADDR_CID_ANY) return undefined; // it may be: bind(2) is to say it
      return `it is not this machine's, which has ${guestCid ?? "1 and 2 at most"}`;
  }
}

/**
 * The CID of this machine by `IOCTL_VM_SOCKETS_GET_LOCAL_CID`: of the guest, else 2 for a host,
 * else 1; `VMADDR_CID_ANY` where there is none. bind(2) tells 2 and 1 where `/dev/vsock` may not be
 * opened.
 */
export function localCid(): number {
  const cid = askDevice();
  if (cid !== undefined) return cid;
  if (guestCid() !== undefined) return VMADDR_CID_ANY;
  return [VMADDR_CID_HOST, VMADDR_CID_LOCAL].find(binds) ?? VMADDR_CID_ANY;
}

function guestCid(): number | undefined {
  const cid = askDevice();
  if (cid !== undefined) return cid > VMADDR_CID_HOST && cid !== VMADDR_CID_ANY ? cid : undefined;
  return GUEST_TRACES.some(mayExist) ? VMADDR_CID_ANY : undefined;
}

/** A guest's transport to its host serves the namespaces that share the machine's CIDs alone. */
function isHostless(guestCid: number): boolean {
  if (guestCid === VMADDR_CID_ANY) return false; // whoever may not open the device may read nothing
  try {
    return fs().readFileSync(NS_MODE, "utf8").trim() === "local";
  } catch {
    return false;
  }
}

/** Where nobody can look, or Deno lets nobody, the kernel is to say it: at the call, at once. */
function mayExist(trace: string): boolean {
  try {
    return !fs().existsSync("/sys/module") || fs().existsSync(trace);
  } catch {
    return true;
  }
}

/** What `/dev/vsock` says; `undefined` where it may not be opened. */
function askDevice(): number | undefined {
  let fd: number | undefined;
  try {
    fd = fs().openSync("/dev/vsock", "r");
    const cid = new Uint32Array(1);
    ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, cid);
    return cid[0];
  } catch (error) {
    if (error instanceof FfiUnavailableError) throw error;
    return undefined;
  } finally {
    if (fd !== undefined) fs().closeSync(fd);
  }
}

/** Whether bind(2) takes `cid`, that is, whether it is this machine's. */
function binds(cid: number): boolean {
  const fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC);
  try {
    bind(fd, new SockaddrVm(cid, VMADDR_PORT_ANY).bytes);
    return true;
  } catch (error) {
    if (isSysError(error, "EADDRNOTAVAIL")) return false;
    throw error;
  } finally {
    close(fd);
  }
}
