/**
 * What the kernel's AF_VSOCK can do. Sockets are made, bound and closed; none connects or sends.
 *
 * @module
 */
import { SO_ZEROCOPY, SOCK_CLOEXEC, SOCK_SEQPACKET, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { SOL_SOCKET } from "../../ffi/abi/socket.ts";
import {
  AF_VSOCK,
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
} from "../../ffi/abi/vm_sockets.ts";
import { isSysError, SysError } from "../../ffi/errno.ts";
import { close, setsockopt, socket } from "../../ffi/libc.ts";
import { library } from "../../ffi/select.ts";
import { fs } from "../runtime/builtins.ts";
import { type KernelTransports, kernelTransports } from "../kernel/reach.ts";
import { localCid, NS_MODE, whyNotConnect } from "../kernel/reach.ts";
import { whyNoPages } from "../kernel/pages.ts";
import { openVsock } from "../kernel/transport.ts";
import { type Finding, type Look, lookSafely, no, noFrom, yes } from "./finding.ts";
import { NO_PAGES_CURE } from "./tcp_receive.ts";

const DEVICE = "/dev/vsock";
/** No guest has it: what is said of it holds for each. */
const SOME_GUEST = 0xffff_fffe;
const DEVICE_LOOK: Look = {
  about: `${DEVICE}, which tells this machine's CID`,
  look: lookAtDevice,
};

/** In the order they are told. */
export const VSOCK_LOOKS: Readonly<Record<string, Look>> = {
  af_vsock: { about: "sockets of AF_VSOCK", look: lookAtFamily },
  dev_vsock: DEVICE_LOOK,
  local_cid: { about: "this machine's CID", look: lookAtCid },
  reach_local: {
    about: "this machine itself, CID 1",
    look: () => lookAtReach(VMADDR_CID_LOCAL),
  },
  reach_host: { about: "the host, CID 2", look: () => lookAtReach(VMADDR_CID_HOST) },
  reach_guests: { about: "guests, CID 3 and up", look: () => lookAtReach(SOME_GUEST) },
  ns_mode: { about: "CIDs by network namespace", look: lookAtNamespaces },
  seqpacket: { about: "messages, SOCK_SEQPACKET", look: lookAtSeqpacket },
  map_rx: {
    about: "zero-copy receive, SO_VM_SOCKETS_MAP_RX",
    look: lookAtMapRx,
  },
  zerocopy_vsock: {
    about: "zero-copy send over AF_VSOCK, MSG_ZEROCOPY",
    look: () => lookAtZeroCopySend(AF_VSOCK, "a kernel from Linux 6.7 on"),
  },
};

function lookAtMapRx(): Finding {
  if (openVsock().capabilities.mapRx) return yes("a socket took the option");
  const why = whyNoPages();
  if (why !== undefined) return no(why, NO_PAGES_CURE);
  return no(
    "this kernel has no SO_VM_SOCKETS_ZEROCOPY, as no released one has",
    "receive by copy, which is what happens by itself",
  );
}

/** Whether sockets of `domain` take `SO_ZEROCOPY`. */
export function lookAtZeroCopySend(domain: number, cure: string): Finding {
  const fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC);
  try {
    setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, Int32Array.of(1));
    return yes("a socket took SO_ZEROCOPY");
  } catch (error) {
    if (error instanceof SysError) return no(`SO_ZEROCOPY is refused: ${error.code}`, cure);
    throw error;
  } finally {
    close(fd);
  }
}

/** Throws where libc cannot be called: that is another matter. */
function transportsByLibc(): KernelTransports | string {
  library();
  return kernelTransports();
}

function lookAtFamily(): Finding {
  const transports = transportsByLibc();
  return typeof transports === "string" ? noFrom(transports) : yes("a socket was made");
}

function lookAtDevice(): Finding {
  try {
    fs().closeSync(fs().openSync(DEVICE, "r"));
    return yes("it was opened");
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code === "ENOENT") {
      return no("it is not there", "modprobe vsock; docker run --device " + DEVICE);
    }
    if (code === "EACCES") return no("it may not be read", `sudo chmod o+r ${DEVICE}`);
    throw error;
  }
}

function lookAtCid(): Finding {
  const transports = transportsByLibc();
  if (typeof transports === "string") return noFrom(transports);
  const cid = localCid();
  if (cid !== VMADDR_CID_ANY) return yes("the kernel told it", cid);
  const device = lookSafely(DEVICE_LOOK);
  return device.ok
    ? no("there is none", "modprobe vsock_loopback, or vhost_vsock on a host")
    : no(`${DEVICE} does not tell it: ${device.why}`, device.cure);
}

function lookAtReach(cid: number): Finding {
  const reason = whyNotConnect({ cid, port: 1 }, transportsByLibc());
  return reason === undefined ? yes("a transport leads there") : noFrom(reason);
}

function lookAtNamespaces(): Finding {
  if (!fs().existsSync(NS_MODE)) {
    return no("every network namespace has the same CIDs", "a kernel from Linux 7.0 on");
  }
  const mode = fs().readFileSync(NS_MODE, "utf8").trim();
  return yes(
    mode === "local" ? "its CIDs are this namespace's own" : "it shares the CIDs of the machine",
    mode,
  );
}

function lookAtSeqpacket(): Finding {
  try {
    close(socket(AF_VSOCK, SOCK_SEQPACKET | SOCK_CLOEXEC));
    return yes("a socket was made");
  } catch (error) {
    if (!isSysError(error, "ESOCKTNOSUPPORT")) throw error;
    return no(`a socket is refused: ${error.code}`, "a kernel from Linux 5.14 on");
  }
}
