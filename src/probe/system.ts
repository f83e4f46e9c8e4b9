/**
 * What else of the kernel is made use of, and its limits.
 *
 * @module
 */
import { IO_URING_PARAMS } from "../../ffi/abi/io_uring.ts";
import { EPOLL_CLOEXEC } from "../../ffi/abi/epoll.ts";
import { AF_INET } from "../../ffi/abi/socket.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, epoll_create1, io_uring_setup } from "../../ffi/libc.ts";
import { fs } from "../runtime/builtins.ts";
import { type Finding, type Look, no, yes } from "./finding.ts";
import { LOCAL, lookAtTcpReceive } from "./tcp_receive.ts";
import { lookAtZeroCopySend } from "./vsock.ts";

const CORE = "/proc/sys/net/core";
/** Sixteen sends of 64 KiB that have not been acknowledged. */
const MEMLOCK_BYTES = 1 << 20;
/** What Linux has had for ever, unless somebody has lowered it. */
const [OPTMEM_BYTES, SOCKET_BYTES] = [20_480, 212_992];

/** In the order they are told. */
export const SYSTEM_LOOKS: Readonly<Record<string, Look>> = {
  zerocopy_tcp: {
    about: "zero-copy send over TCP, MSG_ZEROCOPY",
    of: LOCAL,
    look: () => lookAtZeroCopySend(AF_INET, "a kernel from Linux 4.14 on"),
  },
  tcp_receive: {
    about: "zero-copy receive over TCP, TCP_ZEROCOPY_RECEIVE",
    of: LOCAL,
    look: lookAtTcpReceive,
  },
  epoll: {
    about: "epoll, which waits for many sockets",
    look(): Finding {
      close(epoll_create1(EPOLL_CLOEXEC));
      return yes("one was made");
    },
  },
  io_uring: { about: "io_uring, which sends long messages whole", look: lookAtUring },
  memlock: { about: "bytes that MSG_ZEROCOPY may pin, RLIMIT_MEMLOCK", look: lookAtMemlock },
  optmem_max: {
    about: "bytes of options a socket, for MSG_ZEROCOPY",
    look: () => lookAtCore("optmem_max", OPTMEM_BYTES),
  },
  rmem_max: {
    about: "bytes of SO_RCVBUF at most; AF_VSOCK has its own",
    look: () => lookAtCore("rmem_max", SOCKET_BYTES),
  },
  wmem_max: {
    about: "bytes of SO_SNDBUF at most; AF_VSOCK has its own",
    look: () => lookAtCore("wmem_max", SOCKET_BYTES),
  },
};

function lookAtUring(): Finding {
  try {
    close(io_uring_setup(1, new Uint8Array(IO_URING_PARAMS.size)));
    return yes("a ring was made");
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const { code } = error;
    if (code === "ENOSYS") {
      return no("the kernel has none, or a container hides it", "a kernel from Linux 5.5 on");
    }
    if (code === "ENOMEM") return no("too little memory may be locked", "ulimit -l unlimited");
    if (code !== "EPERM" && code !== "EACCES") return no(`a ring is refused: ${code}`);
    const path = "/proc/sys/kernel/io_uring_disabled";
    const switched = fs().existsSync(path) && fs().readFileSync(path, "utf8").trim() !== "0";
    if (switched) return no("it is disabled", "sudo sysctl kernel.io_uring_disabled=0");
    return no("it is not allowed", "docker run --security-opt seccomp=unconfined");
  }
}

function lookAtMemlock(): Finding {
  const limits = fs().readFileSync("/proc/self/limits", "utf8");
  const [, soft = ""] = /^Max locked memory\s+(\S+)/m.exec(limits) ?? [];
  if (soft === "unlimited") return yes("there is no limit", soft);
  const bytes = Number(soft);
  if (bytes >= MEMLOCK_BYTES) return yes("it is enough", bytes);
  return no(`it is less than ${MEMLOCK_BYTES}`, "ulimit -l unlimited", bytes);
}

function lookAtCore(name: string, wanted: number): Finding {
  const bytes = Number(fs().readFileSync(`${CORE}/${name}`, "utf8"));
  if (bytes >= wanted) return yes("it is what Linux has, or more", bytes);
  return no(`it is less than ${wanted}`, `sudo sysctl net.core.${name}=${wanted}`, bytes);
}
