/**
 * Whether TCP receives without a copy: tried on a connection of this machine to itself.
 *
 * @module
 */
import { INADDR_LOOPBACK, IPPROTO_TCP, SockaddrIn } from "../../ffi/abi/in.ts";
import { MAP_SHARED, PROT_READ } from "../../ffi/abi/mman.ts";
import { AF_INET, SOCK_CLOEXEC, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { TCP_ZEROCOPY_RECEIVE, TcpZerocopyReceive } from "../../ffi/abi/tcp.ts";
import { SysError } from "../../ffi/errno.ts";
import { bind, close, connect, getsockname, getsockopt } from "../../ffi/libc.ts";
import { listen, mmap, munmap, socket } from "../../ffi/libc.ts";
import { pageSize } from "../../ffi/memory.ts";
import type { TcpAddress } from "../address.ts";
import { whyNoPages } from "../kernel/pages.ts";
import { type Finding, no, yes } from "./finding.ts";

/** What to do about `whyNoPages()`. */
export const NO_PAGES_CURE = "a kernel with pages of 4 KiB; receive by copy happens by itself";

const NEWER_CURE = "a kernel from Linux 5.7 on, built with CONFIG_MMU";
/** What a kernel says that has no such thing. */
const UNKNOWN: ReadonlySet<string> = new Set(["EINVAL", "ENODEV", "ENOPROTOOPT", "EOPNOTSUPP"]);
/** What it says without `lo`. */
const DOWN: ReadonlySet<string> = new Set(["EADDRNOTAVAIL", "ENETUNREACH"]);

/** Where TCP is tried: any port of this machine. */
export const LOCAL: TcpAddress = { hostname: "127.0.0.1", port: 0 };

/** Maps a page of a connected TCP socket, and asks for nothing to be mapped into it. */
export function lookAtTcpReceive(): Finding {
  try {
    withConnection(askForPages);
    const why = whyNoPages();
    return why === undefined
      ? yes("a socket was mapped and took the option")
      : no(why, NO_PAGES_CURE);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const { op, code } = error;
    if (op === "socket") throw error;
    if (op === "mmap" || op === "getsockopt") {
      return no(`${op} is refused: ${code}`, UNKNOWN.has(code) ? NEWER_CURE : undefined);
    }
    const cure = DOWN.has(code) ? "ip link set lo up" : undefined;
    return no(`no connection to 127.0.0.1 could be made: ${error.message}`, cure);
  }
}

function askForPages(fd: number): void {
  const length = pageSize();
  const address = mmap(0, length, PROT_READ, MAP_SHARED, fd, 0);
  try {
    const ask = new TcpZerocopyReceive();
    ask.ask(address, length);
    getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, ask.bytes);
  } finally {
    munmap(address, length);
  }
}

/** Calls `use` with one end; the backlog of the listener is the other one. */
function withConnection(use: (fd: number) => void): void {
  const listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC);
  try {
    const address = new SockaddrIn(INADDR_LOOPBACK, 0);
    bind(listener, address.bytes);
    listen(listener, 1);
    getsockname(listener, address.bytes);
    const fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC);
    try {
      connect(fd, address.bytes);
      use(fd);
    } finally {
      close(fd);
    }
  } finally {
    close(listener);
  }
}
