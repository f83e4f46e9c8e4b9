/**
 * What the kernel of this guest lacks, by trying; why, and what to do about it, as a test is
 * skipped with.
 *
 * @module
 */
import { POLLIN, POLLOUT, POLLRDHUP } from "../../ffi/abi/poll.ts";
import { MSG_PEEK } from "../../ffi/abi/socket.ts";
import { VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW } from "../../ffi/abi/vm_sockets.ts";
import { isSysError, SysError } from "../../ffi/errno.ts";
import {
  type Conn,
  connect,
  listen,
  openVsock,
  SocketOptions,
  type SocketOptionValues,
} from "../../mod.ts";
import { lookSafely } from "../../src/probe/finding.ts";
import { VSOCK_LOOKS } from "../../src/probe/vsock.ts";
import { WOULD_BLOCK } from "../../src/socket.ts";

const CURE = "run it without --kernel and VSOCKIT_KERNEL";
const transport = "vsock";

/** Why there is no `SOCK_SEQPACKET`; `false` where there is. */
export const NO_SEQPACKET: string | false = whyNot("seqpacket");
/** Why there is no `MSG_ZEROCOPY`; `false` where there is. */
export const NO_ZEROCOPY: string | false = whyNot("zerocopy_vsock");

function whyNot(name: "seqpacket" | "zerocopy_vsock"): string | false {
  const finding = lookSafely(VSOCK_LOOKS[name]!);
  return !finding.ok && `${name}: ${finding.why}; ${CURE}`;
}

/** What came into Linux by and by, and in which cases of the conformance suite it is seen. */
const FEATURES: readonly {
  readonly about: string;
  readonly has: () => boolean | Promise<boolean>;
  readonly cases: readonly string[];
}[] = [
  {
    about: "SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, from Linux 5.16 on",
    has: hasNewTimeout,
    cases: [
      "CONNECT_TIMEOUT is 2 seconds unless set, by its old and its new number",
      "CONNECT_TIMEOUT of 0 is 2 seconds",
      "CONNECT_TIMEOUT with a million microseconds or negative seconds gives ERANGE",
      "CONNECT_TIMEOUT needs 16 bytes: EINVAL",
      "accept() gives a socket with the listener's sizes and timeout, not its SO_RCVLOWAT",
    ],
  },
  {
    about: "BUFFER_MAX_SIZE that wins over BUFFER_MIN_SIZE, from Linux 7.1 and 6.12.90 on",
    has: boundsFromAbove,
    cases: ["BUFFER_MAX_SIZE wins over a BUFFER_MIN_SIZE above it"],
  },
  {
    about: "SO_RCVLOWAT that poll() heeds, from Linux 6.1 on",
    has: heedsRcvlowat,
    cases: [
      "SO_RCVLOWAT of a stream above BUFFER_SIZE, or negative, gives EINVAL",
      "poll() is IN from SO_RCVLOWAT bytes on, not before",
      "options.rcvlowat makes a pending read() wait for as many bytes",
    ],
  },
  {
    about: "EMSGSIZE of a message that exceeds the peer's buffer alone, from Linux 6.2 on",
    has: saysMessageSize,
    cases: ["send() is limited by the smaller one of the two buffers"],
  },
  {
    about: "MSG_PEEK of a message, from Linux 6.6 on",
    has: peeks,
    cases: [
      "recv() with MSG_PEEK leaves the message, and tells its length and flags",
      "poll() of a seqpacket socket: a message shorter than SO_RCVLOWAT is not IN",
      "receiveMessage() into a buffer tells what was cut off; peek leaves the message",
    ],
  },
  {
    about: "MSG_PEEK after a part was read, as before Linux 6.7 and from 7.1 and 6.12.90 on",
    has: peeksOn,
    cases: ["recv() with MSG_PEEK after a part was read shows the rest, over packet bounds"],
  },
  {
    about: "a bound to the memory of small packets",
    has: boundsPackets,
    cases: [
      "more messages than the receiver has memory for end the connection: ENOBUFS",
      "a buffer too small for any packet ends the connection: recv() gives 0, SO_ERROR ENOBUFS",
      "recv() of a message while ENOBUFS is pending gives that, and the message is lost",
    ],
  },
  {
    about: "MSG_ZEROCOPY, from Linux 6.7 on",
    has: () => NO_ZEROCOPY === false,
    cases: ["SO_ZEROCOPY takes 0 and 1, another int or fewer than 4 bytes give EINVAL"],
  },
  {
    about: "word to the sender when SO_RCVLOWAT is raised, from Linux 6.8 on",
    has: tellsOfRcvlowat,
    cases: ["SO_RCVLOWAT above what is queued lets the sender go on"],
  },
  {
    about: "SIOCOUTQ, from Linux 6.11 on",
    has: tellsUnsent,
    cases: ["outq() is 0 once the peer has read everything"],
  },
  {
    about: "a send that is limited by this end's own buffer too",
    has: capsSends,
    cases: [
      "send() takes no more than this end's own buffer holds",
      "BUFFER_SIZE of this end changes what it may send",
    ],
  },
];

/** Why a case of the suite does not hold of this kernel, by its name. */
export async function kernelDifferences(): Promise<ReadonlyMap<string, string>> {
  const lacking: [name: string, why: string][] = [];
  for (const { about, has, cases } of FEATURES) {
    if (await has()) continue;
    for (const name of cases) lacking.push([name, `this kernel lacks ${about}; ${CURE}`]);
  }
  return new Map(lacking);
}

/**
 * Why the kernel's own tests, as of 6.12, cannot pass, not even among themselves; `false` where
 * they can. What is newest of all that they take is SIOCOUTQ.
 */
export async function whyNotVsockTest(): Promise<string | false> {
  return !await tellsUnsent() && `this kernel is before Linux 6.11; ${CURE}`;
}

async function withPair(
  type: "stream" | "seqpacket",
  options: SocketOptionValues,
  use: (near: Conn, far: Conn) => boolean | Promise<boolean>,
): Promise<boolean> {
  using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport, type });
  const { port } = listener.addr;
  using near = await connect({ cid: 1, port }, { transport, type, options });
  using far = await listener.accept();
  return await use(near, far);
}

function succeeds(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}

/** Packets of all sockets go one after the other: what was on its way has come. */
async function pass(): Promise<void> {
  await withPair("stream", {}, () => true);
}

function hasNewTimeout(): Promise<boolean> {
  const value = new Uint8Array(16);
  return withPair(
    "stream",
    {},
    ({ socket }) =>
      succeeds(() => socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, value)),
  );
}

function boundsFromAbove(): boolean {
  using socket = openVsock().socket("stream");
  const options = new SocketOptions(socket);
  options.bufferMinSize = 100_000;
  options.bufferMaxSize = 5_000;
  return options.bufferSize === 5_000;
}

function heedsRcvlowat(): Promise<boolean> {
  return withPair("stream", {}, async (near, far) => {
    far.options.rcvlowat = 2;
    await near.write(Uint8Array.of(1));
    await pass();
    return (far.socket.poll(POLLIN) & POLLIN) === 0;
  });
}

async function saysMessageSize(): Promise<boolean> {
  if (NO_SEQPACKET !== false) return true;
  return await withPair("seqpacket", { bufferMaxSize: 1 << 20, bufferSize: 1 << 20 }, (near) => {
    try {
      near.socket.send(new Uint8Array(1 << 20), 0);
      return true;
    } catch (error) {
      return !isSysError(error, "ENOMEM");
    }
  });
}

async function peeks(): Promise<boolean> {
  if (NO_SEQPACKET !== false) return true; // no case comes to it
  return await withPair("seqpacket", {}, async (near, far) => {
    await near.sendMessage(Uint8Array.of(1));
    await far.socket.wait(POLLIN);
    return succeeds(() => far.socket.recv(new Uint8Array(1), MSG_PEEK));
  });
}

function peeksOn(): Promise<boolean> {
  return withPair("stream", {}, async (near, far) => {
    await near.write(new Uint8Array(1000));
    await far.read(new Uint8Array(500));
    return succeeds(() => far.socket.recv(new Uint8Array(1000), MSG_PEEK));
  });
}

async function boundsPackets(): Promise<boolean> {
  if (NO_SEQPACKET !== false) return true;
  return await withPair("seqpacket", {}, async (near, far) => {
    for (let count = 0; count < 1000; count++) {
      if (!succeeds(() => near.socket.send(Uint8Array.of(1), 0))) break;
    }
    await pass();
    return (far.socket.poll(POLLRDHUP) & POLLRDHUP) !== 0;
  });
}

function tellsUnsent(): Promise<boolean> {
  return withPair("stream", {}, (near) => succeeds(() => near.socket.outq()));
}

function tellsOfRcvlowat(): Promise<boolean> {
  return withPair("stream", {}, async (near, far) => {
    while (near.socket.send(new Uint8Array(65_536), 0) !== WOULD_BLOCK);
    await pass();
    const { bufferSize } = far.options;
    await far.read(new Uint8Array(65_536));
    far.options.rcvlowat = bufferSize - 65_536 + 1;
    await pass();
    return (near.socket.poll(POLLOUT) & POLLOUT) !== 0;
  });
}

function capsSends(): Promise<boolean> {
  return withPair(
    "stream",
    { bufferSize: 10_000 },
    (near) => near.socket.send(new Uint8Array(20_000), 0) === 10_000,
  );
}
