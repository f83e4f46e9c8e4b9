import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { IP_RECVERR, IPPROTO_IP, IPPROTO_IPV6, IPV6_RECVERR } from "../../../ffi/abi/in.ts";
import { SockaddrIn, SockaddrIn6 } from "../../../ffi/abi/in.ts";
import { POLLERR, PollFds } from "../../../ffi/abi/poll.ts";
import {
  AF_INET,
  AF_INET6,
  MSG_ZEROCOPY,
  SO_ZEROCOPY,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
} from "../../../ffi/abi/socket.ts";
import { ERRNO } from "../../../ffi/errno.ts";
import { bind, close, connect, getsockname, poll, send, setsockopt } from "../../../ffi/libc.ts";
import { socket } from "../../../ffi/libc.ts";
import { takeErrorRecord } from "../../../src/send/error_queue.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";
import { until } from "../../helpers/until.ts";

const LIMIT = { timeout: 60_000 };
/** Has each message come with when it came. */
const SO_TIMESTAMP = 29;
const LOOPBACK6 = new Uint8Array(16).fill(1, 15);

/** The families, and what carries their errors. */
const FAMILIES = [
  {
    name: "IPv4",
    family: AF_INET,
    address: (port: number) => new SockaddrIn(0x7f00_0001, port),
    level: IPPROTO_IP,
    type: IP_RECVERR,
    hostname: "127.0.0.1",
  },
  {
    name: "IPv6",
    family: AF_INET6,
    address: (port: number) => new SockaddrIn6(LOOPBACK6, port),
    level: IPPROTO_IPV6,
    type: IPV6_RECVERR,
    hostname: "::1",
  },
] as const;

/** Waits until the error queue of `fd` has something. */
function awaitRecord(fd: number): void {
  const fds = new PollFds(1);
  fds.set(0, fd, POLLERR);
  assertEquals(poll(fds, 30_000), 1);
}

for (const { name, family, address, level, type } of FAMILIES) {
  test(`takeErrorRecord() tells what is about no send from what is, over ${name}`, LIMIT, () => {
    const closed = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const to = address(0);
    bind(closed, to.bytes);
    getsockname(closed, to.bytes);
    close(closed);
    const fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    try {
      setsockopt(fd, level, type, Int32Array.of(1));
      setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, Int32Array.of(1)); // a control message before it
      connect(fd, to.bytes);
      assertEquals(takeErrorRecord(fd), undefined);
      send(fd, Uint8Array.of(1), 0); // nobody is there
      awaitRecord(fd);
      const { zeroCopy, errno, ...of } = takeErrorRecord(fd)!;
      assertEquals([of.level, of.type, errno], [level, type, ERRNO.ECONNREFUSED]);
      assertEquals([zeroCopy, takeErrorRecord(fd)], [false, undefined]);
    } finally {
      close(fd);
    }
  });
}

for (const { name, hostname, level, type } of FAMILIES) {
  test(`takeErrorRecord() gives ranges of sends that are over, of ${name}`, LIMIT, async () => {
    using pair = await openTcpPair(hostname);
    const { socket } = pair.near;
    const { fd } = socket as unknown as { readonly fd: number };
    setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, Int32Array.of(1));
    const data = new Uint8Array(16_384);
    let first = 0;
    for (const sends of [1, 3]) {
      for (let i = 0; i < sends; i++) assertEquals(send(fd, data, MSG_ZEROCOPY), data.length);
      await until(() => socket.outq() === 0, () => socket.outq());
      awaitRecord(fd);
      // One for all that nobody has read yet; what stays on this machine is copied.
      const last = first + sends - 1;
      const expected = { level, type, errno: 0, zeroCopy: true, first, last, copied: true };
      assertEquals([takeErrorRecord(fd), takeErrorRecord(fd)], [expected, undefined]);
      first += sends;
    }
  });
}
