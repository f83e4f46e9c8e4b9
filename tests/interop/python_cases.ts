/**
 * What is promised to whoever has Python's `socket` at the other end, over the kernel or a device.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import type { VsockAddress } from "../../src/address.ts";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import type { SocketType } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";
import { bytes } from "../conformance/helpers.ts";
import type { Python } from "./python.ts";

/** This end and Python's. */
export interface Meeting {
  readonly python: Python;
  readonly transport: Transport;
  /** The CID at which Python finds this end. */
  readonly here: number;
  /** The CID at which this end finds Python. */
  readonly there: number;
}

/** No multiple of a page, a packet or a buffer. */
const MUCH = 1_000_003;
const PORT = 7_000;
/** Python that reads to the end and says how much came, and what. */
const READ_ALL = `
h, n = sha256(), 0
while data := c.recv(10_000):
    h.update(data)
    n += len(data)
(n, h.hexdigest())`;

const text = (data: unknown): string => new TextDecoder().decode(data as Uint8Array);
const utf8 = (data: string): Uint8Array => new TextEncoder().encode(data);
const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** A connection that Python has made, its end being `c`. */
async function fromPython(
  { python, transport, here }: Meeting,
  type: SocketType,
): Promise<Conn<VsockAddress>> {
  using listener = listen({ cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY }, { transport, type });
  const connecting = python.run(`
c = socket(AF_VSOCK, SOCK_${type.toUpperCase()})
c.connect((${here}, ${listener.addr.port}))`);
  const [conn] = await Promise.all([listener.accept(), connecting]);
  return conn;
}

/** A connection to Python, whose end is `c`. */
async function toPython(
  { python, transport, there }: Meeting,
  type: SocketType,
): Promise<Conn<VsockAddress>> {
  await python.run(`
s = socket(AF_VSOCK, SOCK_${type.toUpperCase()})
s.bind((VMADDR_CID_ANY, ${PORT}))
s.listen()`);
  const conn = await connect({ cid: there, port: PORT }, { transport, type });
  await python.run("c, peer = s.accept()\ns.close()");
  return conn;
}

async function readAll(conn: Conn): Promise<[number, string]> {
  const hashing = createHash("sha256");
  const buffer = new Uint8Array(65_536);
  let total = 0;
  for (let n; (n = await conn.read(buffer)) !== null; total += n) {
    hashing.update(buffer.subarray(0, n));
  }
  return [total, hashing.digest("hex")];
}

const CASES: Readonly<Record<string, (meeting: Meeting) => Promise<void>>> = {
  async "Conn and Python see each other's addresses"(meeting): Promise<void> {
    const { python, here, there } = meeting;
    using conn = await fromPython(meeting, "stream");
    const { localAddr, remoteAddr } = conn;
    assertEquals(await python.run("c.getpeername()"), [here, localAddr.port]);
    assertEquals(await python.run("c.getsockname()[1]"), remoteAddr.port);
    assertEquals(remoteAddr.cid, there);
    using back = await toPython(meeting, "stream");
    assertEquals(await python.run("peer"), [here, back.localAddr.port]);
    assertEquals(await python.run("c.getsockname()[1]"), PORT);
  },

  async "Conn.closeWrite() and SHUT_WR of Python are half closes"(meeting): Promise<void> {
    const { python } = meeting;
    for (const open of [fromPython, toPython]) {
      using conn = await open(meeting, "stream");
      const reading = python.run(READ_ALL);
      const [up, down] = [bytes(MUCH), bytes(MUCH + 1)];
      await conn.write(up);
      await conn.closeWrite();
      assertEquals(await reading, [up.length, hash(up)]);
      const sending = python.run(`
d = randbytes(${down.length})
c.sendall(d)
c.shutdown(SHUT_WR)
(len(d), sha256(d).hexdigest())`);
      assertEquals(await readAll(conn), await sending);
      assertEquals(await python.run("c.recv(1)"), new Uint8Array(0));
    }
  },

  async "Conn.write() of both ends at once gets through"(meeting): Promise<void> {
    const { python } = meeting;
    using conn = await toPython(meeting, "stream");
    const data = bytes(MUCH);
    const echo = python.run(`
while data := c.recv(100_000):
    c.sendall(data)
c.close()`);
    const reading = readAll(conn);
    await conn.write(data);
    await conn.closeWrite();
    assertEquals(await reading, [data.length, hash(data)]);
    await echo;
  },

  async "Conn.write() is EPIPE once Python has closed with bytes unread"(meeting): Promise<void> {
    const { python } = meeting;
    using conn = await fromPython(meeting, "stream");
    await conn.write(utf8("unread"));
    await python.run("c.recv(1)\nc.send(b'bye')\nc.close()");
    const buffer = new Uint8Array(8);
    assertEquals([await conn.read(buffer), await conn.read(buffer)], [3, null]);
    const error = await assertRejects(() => conn.write(buffer), VsockError);
    assertEquals(error.code, "EPIPE");
  },

  async "Conn.closeRead() is BrokenPipeError for Python"(meeting): Promise<void> {
    const { python } = meeting;
    using conn = await fromPython(meeting, "stream");
    await conn.closeRead();
    await conn.write(utf8("go on"));
    assertEquals(text(await python.run("c.recv(5, MSG_WAITALL)")), "go on");
    await assertRejects(() => python.run("c.send(b'x')"), Error, "BrokenPipeError");
    await conn.write(utf8("still"));
    assertEquals(text(await python.run("c.recv(5, MSG_WAITALL)")), "still");
  },

  async "connect() and Python's are reset where nobody listens"(meeting): Promise<void> {
    const { python, transport, here, there } = meeting;
    const error = await assertRejects(
      () => connect({ cid: there, port: PORT }, { transport }),
      VsockError,
    );
    assertEquals(error.code, "ECONNRESET");
    await assertRejects(
      () => python.run(`socket(AF_VSOCK, SOCK_STREAM).connect((${here}, ${PORT}))`),
      Error,
      "ConnectionResetError",
    );
  },

  async "Conn.write() and Python's send() go as far as the peer's buffer"(meeting): Promise<void> {
    const { python, transport, here } = meeting;
    const options = { bufferSize: 90_000 };
    using listener = listen({ cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY }, { transport, options });
    const connecting = python.run(`
c = socket(AF_VSOCK, SOCK_STREAM)
c.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, 80_000)
c.connect((${here}, ${listener.addr.port}))
c.getsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE)`);
    using conn = await listener.accept();
    assertEquals(await connecting, 80_000);
    await assertRejects(() => conn.write(bytes(100_000), { timeoutMs: 100 }), VsockError);
    assertEquals(conn.bytesWritten, 80_000);
    const sent = await python.run(`
c.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, 200_000)
c.setblocking(False)
n = 0
try:
    while True:
        n += c.send(bytes(10_000))
except BlockingIOError:
    c.setblocking(True)
    c.shutdown(SHUT_WR)
n`);
    assertEquals([sent, await readAll(conn)], [90_000, [90_000, hash(new Uint8Array(90_000))]]);
  },

  async "Conn.receiveMessage() has the bounds and MSG_EOR of Python"(meeting): Promise<void> {
    const { python } = meeting;
    using conn = await fromPython(meeting, "seqpacket");
    await python.run(`
c.send(b"a" * 100, MSG_EOR)
c.send(b"b" * 70_000)
c.sendmsg([b"one", b"", b"two"], [], MSG_EOR)
c.shutdown(SHUT_WR)`);
    const got: unknown[] = [];
    for (let message; (message = await conn.receiveMessage()) !== null;) {
      got.push([message.data.length, message.endOfRecord]);
    }
    assertEquals(got, [[100, true], [70_000, false], [6, true]]);
    await conn.sendMessage(utf8("answer"));
    assertEquals(text(await python.run("c.recv(10)")), "answer");
  },

  async "Conn.sendMessage() is cut by Python's recvmsg(), which says so"(meeting): Promise<void> {
    const { python } = meeting;
    using conn = await toPython(meeting, "seqpacket");
    for (const endOfRecord of [true, false]) {
      for (const data of [utf8("hello world"), bytes(100_000)]) {
        await conn.sendMessage(data, { endOfRecord });
        const flags = await python.run(`
data, _, flags, _ = c.recvmsg(5)
(len(data), bool(flags & MSG_TRUNC), bool(flags & MSG_EOR))`);
        assertEquals(flags, [5, true, endOfRecord]);
        await conn.sendMessage(data, { endOfRecord });
        assertEquals(await python.run("c.recv_into(bytearray(5), 5, MSG_TRUNC)"), data.length);
      }
    }
    await conn.sendMessage(utf8("last"));
    conn.close();
    assertEquals(await python.run("(len(c.recv(100)), len(c.recv(100)))"), [4, 0]);
  },

  async "Conn.sendMessage() and Python's send() wait for room"(meeting): Promise<void> {
    const { python } = meeting;
    using conn = await fromPython(meeting, "seqpacket");
    const sending = python.run("[c.send(randbytes(99_999)) for _ in range(12)]");
    for (let count = 0; count < 12; count++) {
      assertEquals((await conn.receiveMessage())?.data.length, 99_999);
    }
    await sending;
    const reading = python.run("[len(c.recv(100_000)) for _ in range(12)]");
    for (let count = 0; count < 12; count++) await conn.sendMessage(bytes(88_888));
    assertEquals(await reading, Array(12).fill(88_888));
    const error = await assertRejects(() => conn.sendMessage(bytes(300_000)), VsockError);
    assertEquals(error.code, "EMSGSIZE");
    const { message } = await assertRejects(() => python.run("c.send(bytes(300_000))"), Error);
    assertMatch(message, /Errno (90|12)\b/); // EMSGSIZE, before Linux 6.2 ENOMEM
  },
};

/** Runs all of them; `open` gives the ends, once the machine is up. */
export function testPython(
  name: string,
  skip: string | false,
  open: () => Meeting,
): void {
  for (const [promise, check] of Object.entries(CASES)) {
    test(`${promise} (${name})`, { timeout: 120_000, skip }, () => check(open()));
  }
}
