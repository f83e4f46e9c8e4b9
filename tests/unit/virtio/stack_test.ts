import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../../ffi/abi/virtio_vsock.ts";
import { SHUT_RDWR, SHUT_WR } from "../../../ffi/abi/socket.ts";
import { ERRNO, SysError } from "../../../ffi/errno.ts";
import { connect, listen, receive, shutdown, updateBufferSize } from "../../../src/virtio/calls.ts";
import type { Carrier } from "../../../src/virtio/carrier.ts";
import { release } from "../../../src/virtio/connection.ts";
import { type Header, type Packet, resetOf, reversed } from "../../../src/virtio/packet.ts";
import { PagePayload } from "../../../src/virtio/payload.ts";
import { VsockSock } from "../../../src/virtio/sock.ts";
import { Stack } from "../../../src/virtio/stack.ts";

const PORT = 5_000;
const TO = { cid: 3, port: 9 };

class Counted extends PagePayload {
  freed = 0;
  override free(): void {
    this.freed++;
    super.free();
  }
}

/** A stack of CID 2 in front of a peer of CID 3, which says only what a test has it say. */
class Rig {
  readonly sent: number[] = [];
  readonly carrier: Carrier = {
    allocate: (data) => new PagePayload(data),
    send: ({ op }) => void this.sent.push(op),
  };
  readonly stack: Stack;

  constructor(now: () => number = () => 0) {
    this.stack = new Stack({
      cids: [2],
      now,
      route: (cid) => cid === TO.cid ? this.carrier : undefined,
      tellsCredit: () => false,
      timersChanged: () => {},
      privileged: false,
      firstPort: PORT,
    });
  }

  header(op: number): Header {
    const { cid: srcCid, port: srcPort } = TO;
    const rest = { len: 0, flags: 0, bufAlloc: 65_536, fwdCnt: 0 };
    return {
      srcCid,
      srcPort,
      dstCid: 2,
      dstPort: PORT,
      type: VIRTIO_VSOCK_TYPE_STREAM,
      op,
      ...rest,
    };
  }

  receive(op: number, fields: Partial<Packet> = {}): void {
    this.stack.receive({ ...this.header(op), ...fields });
  }

  /** A listener at `PORT`. */
  listening(type: number = VIRTIO_VSOCK_TYPE_STREAM): VsockSock {
    const sock = new VsockSock(type);
    this.stack.bind(sock, { cid: 2, port: PORT });
    listen(sock, 0);
    return sock;
  }

  /** A socket at `PORT` that has asked to connect. */
  asked(): VsockSock {
    const sock = new VsockSock(VIRTIO_VSOCK_TYPE_STREAM);
    this.stack.bind(sock, { cid: 2, port: PORT });
    connect(this.stack, sock, TO);
    return sock;
  }

  connected(): VsockSock {
    const sock = this.asked();
    this.receive(VIRTIO_VSOCK_OP_RESPONSE);
    return sock;
  }
}

test("connect() leaves no deadline behind once the peer has answered, or it is closed", () => {
  for (const answer of [VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_RW]) {
    const rig = new Rig();
    const sock = rig.asked();
    assertEquals(rig.stack.nextDeadline(), sock.connectTimeoutMs);
    rig.receive(answer);
    assertEquals(rig.stack.nextDeadline(), Infinity);
    const found = rig.stack.findConnected(TO.cid, TO.port, PORT);
    assertEquals(found === sock, answer === VIRTIO_VSOCK_OP_RESPONSE);
  }
  const rig = new Rig();
  release(rig.stack, rig.asked());
  assertEquals(rig.stack.nextDeadline(), Infinity);
});

test("Stack.receive() frees the bytes that no socket takes, once", () => {
  const lives: Record<string, (rig: Rig) => void> = {
    nobody: () => {},
    bound: (rig) => rig.stack.bind(new VsockSock(VIRTIO_VSOCK_TYPE_STREAM), { cid: 2, port: PORT }),
    listening: (rig) => void rig.listening(),
    asked: (rig) => void rig.asked(),
    refused: (rig) => {
      rig.asked();
      rig.receive(VIRTIO_VSOCK_OP_RST);
    },
    reset: (rig) => {
      rig.connected();
      rig.receive(VIRTIO_VSOCK_OP_RST);
    },
    "shut down after that": (rig) => {
      const sock = rig.connected();
      rig.receive(VIRTIO_VSOCK_OP_RST);
      shutdown(rig.stack, sock, SHUT_WR);
    },
    closed: (rig) => release(rig.stack, rig.connected()),
  };
  for (const [name, live] of Object.entries(lives)) {
    const rig = new Rig();
    live(rig);
    const payload = new Counted(Uint8Array.of(1));
    rig.receive(VIRTIO_VSOCK_OP_RW, { len: 1, payload });
    assertEquals(payload.freed, 1, name);
  }
});

test("Stack.receive() takes no bytes behind the end, nor more than it gave credit for", () => {
  const rig = new Rig();
  const sock = rig.connected();
  const late = new Counted(Uint8Array.of(1));
  rig.receive(VIRTIO_VSOCK_OP_SHUTDOWN, { flags: VIRTIO_VSOCK_SHUTDOWN_SEND });
  rig.receive(VIRTIO_VSOCK_OP_RW, { len: 1, payload: late });
  assertEquals([late.freed, sock.rx.rxBytes, sock.error], [1, 0, 0]);
  const other = new Rig();
  const overrun = other.connected();
  const much = new Counted(new Uint8Array(overrun.bufferSize + 1));
  other.receive(VIRTIO_VSOCK_OP_RW, { len: much.bytes.length, payload: much });
  assertEquals([much.freed, overrun.error, other.sent.at(-1)], [
    1,
    ERRNO.ENOBUFS,
    VIRTIO_VSOCK_OP_RST,
  ]);
  assertEquals(receive(other.stack, overrun, new Uint8Array(1), 0, { flags: 0 }), 0);
});

test("a connection that its peer shuts down one way after the other is over then, and reset", () => {
  const ways = [VIRTIO_VSOCK_SHUTDOWN_RCV, VIRTIO_VSOCK_SHUTDOWN_SEND];
  for (const [first, second] of [ways, ways.toReversed()]) {
    const rig = new Rig();
    const sock = rig.connected();
    rig.receive(VIRTIO_VSOCK_OP_SHUTDOWN, { flags: first! });
    assertEquals([sock.done, rig.sent.at(-1)], [false, VIRTIO_VSOCK_OP_REQUEST]);
    rig.receive(VIRTIO_VSOCK_OP_SHUTDOWN, { flags: second! });
    assertEquals([sock.done, rig.sent.at(-1)], [true, VIRTIO_VSOCK_OP_RST]);
  }
});

test("SEQPACKET sockets neither connect to a peer that has no messages, nor accept it", () => {
  const type = VIRTIO_VSOCK_TYPE_SEQPACKET;
  for (const seqpacket of [false, true]) {
    const rig = new Rig();
    Object.assign(rig.carrier, { seqpacket });
    const asks = (): void => connect(rig.stack, new VsockSock(type), TO);
    if (!seqpacket) assertThrows(asks, SysError, "ESOCKTNOSUPPORT");
    const { acceptQueue } = rig.listening(type);
    rig.receive(VIRTIO_VSOCK_OP_REQUEST, { type });
    assertEquals(acceptQueue.length, seqpacket ? 1 : 0);
    assertEquals(rig.sent, [seqpacket ? VIRTIO_VSOCK_OP_RESPONSE : VIRTIO_VSOCK_OP_RST]);
  }
});

test("Stack.findConnected() looks at few connections, whatever ports a peer has chosen", () => {
  const { stack } = new Rig();
  let looks = 0;
  for (let i = 0; i < 1_000; i++) {
    const sock = new VsockSock(VIRTIO_VSOCK_TYPE_STREAM);
    sock.local = { cid: 2, port: 2_000 + i };
    sock.remote = {
      cid: TO.cid,
      get port() {
        looks++;
        return 100_000 - 31 * i; // any linear rule that is known would do
      },
    };
    stack.insertConnected(sock);
  }
  looks = 0;
  assertEquals(stack.findConnected(TO.cid, 100_000 - 31 * 999, 2_999)?.local.port, 2_999);
  assert(looks < 10, `${looks} looks`);
});

test("Stack.tellRoom() wakes those who wait for that carrier, and no others", () => {
  const { stack, carrier } = new Rig();
  const woken: string[] = [];
  for (const [name, way] of Object.entries({ one: carrier, two: carrier, other: { ...carrier } })) {
    const sock = new VsockSock(VIRTIO_VSOCK_TYPE_STREAM);
    sock.carrier = way;
    sock.wake = () => woken.push(name);
    stack.needRoom(sock, way, 1);
    if (name === "two") stack.remove(sock);
  }
  for (let round = 0; round < 2; round++) stack.tellRoom(carrier);
  assertEquals(woken, ["one"]);
});

test("Stack.tellRoom() tells of a socket that is refused again while it is told", () => {
  const { stack, carrier } = new Rig();
  const sock = new VsockSock(VIRTIO_VSOCK_TYPE_STREAM);
  stack.needRoom(sock, carrier, 1);
  let told = 0;
  sock.wake = () => {
    if (++told === 1) stack.needRoom(sock, carrier, 1);
  };
  assertEquals([stack.tellRoom(carrier, 1), told], [true, 1]);
  assertEquals([stack.tellRoom(carrier, 1), told], [false, 2]);
});

test("Stack.reset() ends what was connected, and the next life of the peer hears nothing of it", () => {
  const lives: Record<string, (rig: Rig) => VsockSock> = {
    asked: (rig) => rig.asked(),
    connected: (rig) => rig.connected(),
    closing: (rig) => {
      const sock = rig.connected();
      rig.receive(VIRTIO_VSOCK_OP_RST);
      return sock;
    },
  };
  for (const [name, live] of Object.entries(lives)) {
    const rig = new Rig();
    const sock = live(rig);
    rig.sent.length = 0;
    rig.stack.reset(rig.carrier);
    const ended = [sock.state, sock.error, sock.readable, rig.stack.nextDeadline()];
    assertEquals(ended, ["close", ERRNO.ECONNRESET, false, Infinity], name);
    assertEquals(rig.stack.findConnected(TO.cid, TO.port, PORT), undefined, name);
    release(rig.stack, sock);
    assertEquals([rig.sent, rig.stack.has(rig.header(0))], [[], false], name);
  }
});

test("Stack.reset() leaves what can be read of a connection that its peer has ended, unheard", () => {
  const ends = [
    [VIRTIO_VSOCK_OP_SHUTDOWN, 3],
    [VIRTIO_VSOCK_OP_SHUTDOWN, 0],
    [VIRTIO_VSOCK_OP_RST, 3],
  ] as const;
  for (const [end, len] of ends) {
    const rig = new Rig();
    const sock = rig.connected();
    if (len > 0) {
      const payload = new PagePayload(Uint8Array.of(1, 2, 3));
      rig.receive(VIRTIO_VSOCK_OP_RW, { len, payload });
    }
    const flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
    rig.receive(end, { flags });
    rig.stack.reset(rig.carrier);
    const next = rig.stack.has(rig.header(0));
    rig.sent.length = 0;
    updateBufferSize(rig.stack, sock, 128);
    const buffer = new Uint8Array(8);
    const out = { flags: 99 };
    const got = [1, 2].map(() => receive(rig.stack, sock, buffer, 0, out));
    release(rig.stack, sock);
    assertEquals([got, out.flags, rig.sent, next], [[len, 0], 0, [], true]);
  }
});

test("Stack.reset() gives what resets all that the peer still believes in", () => {
  const lives: [(rig: Rig) => unknown, number][] = [
    [(rig) => rig.asked(), 1],
    [(rig) => rig.connected(), 1],
    [(rig) => release(rig.stack, rig.connected()), 1],
    [(rig) => {
      Object.assign(rig.carrier, { closing: new Set() });
      release(rig.stack, rig.connected());
    }, 1],
    [(rig) => {
      rig.connected();
      rig.receive(VIRTIO_VSOCK_OP_RST);
    }, 0],
    [(rig) => rig.listening(), 0],
  ];
  for (const [live, count] of lives) {
    const rig = new Rig();
    live(rig);
    const reset = resetOf(reversed(rig.header(0)));
    assertEquals(rig.stack.reset(rig.carrier), new Array(count).fill(reset));
    assertEquals(rig.stack.reset({ ...rig.carrier }), []);
  }
});

test("Stack.reset() frees what nobody has read, and forgets who has closed already", () => {
  const rig = new Rig();
  const sock = rig.connected();
  const payload = new Counted(Uint8Array.of(1, 2, 3));
  rig.receive(VIRTIO_VSOCK_OP_RW, { len: 3, payload });
  release(rig.stack, sock);
  assertEquals([payload.freed, rig.stack.nextDeadline() < Infinity], [1, true]);
  rig.stack.reset(rig.carrier);
  assertEquals([payload.freed, sock.error, rig.stack.nextDeadline()], [1, 0, Infinity]);
  assertEquals(rig.stack.has(rig.header(0)), false);
  rig.asked(); // the port is free
});

test("Stack.reset() frees what nobody has read of what was connected", () => {
  const rig = new Rig();
  rig.connected();
  const payload = new Counted(Uint8Array.of(1));
  rig.receive(VIRTIO_VSOCK_OP_RW, { len: 1, payload });
  rig.stack.reset(rig.carrier);
  assertEquals(payload.freed, 1);
});

test("close() waits in its carrier's `closing` until the peer agrees, or is gone", () => {
  const closing = new Set<VsockSock>();
  const sizes: number[] = [];
  for (const end of ["agreed", "gone"]) {
    const rig = new Rig();
    Object.assign(rig.carrier, { closing });
    release(rig.stack, rig.connected());
    sizes.push(closing.size);
    if (end === "gone") rig.stack.reset(rig.carrier);
    else rig.receive(VIRTIO_VSOCK_OP_RST);
    sizes.push(closing.size);
  }
  assertEquals(sizes, [1, 0, 1, 0]);
});

test("close() says what Linux says, by what was said before, and frees what nobody has read", () => {
  const { RST, SHUTDOWN } = { RST: VIRTIO_VSOCK_OP_RST, SHUTDOWN: VIRTIO_VSOCK_OP_SHUTDOWN };
  const flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
  const lives: [(rig: Rig, sock: VsockSock) => void, number[]][] = [
    [(rig) => rig.receive(RST), [RST]],
    [(rig, sock) => {
      receive(rig.stack, sock, new Uint8Array(1), 0, { flags: 0 });
      rig.receive(RST);
    }, [RST]],
    [(rig) => rig.receive(SHUTDOWN, { flags }), [RST]],
    [({ stack }, sock) => shutdown(stack, sock, SHUT_RDWR), [SHUTDOWN]],
    [({ stack }, sock) => shutdown(stack, sock, SHUT_WR), [SHUTDOWN, SHUTDOWN]],
  ];
  for (const [live, says] of lives) {
    const rig = new Rig();
    const sock = rig.connected();
    const payload = new Counted(Uint8Array.of(1));
    rig.receive(VIRTIO_VSOCK_OP_RW, { len: 1, payload });
    rig.sent.length = 0;
    live(rig, sock);
    release(rig.stack, sock);
    assertEquals([rig.sent, payload.freed], [says, 1]);
  }
});

test("close() of a connection forgets it, deadline and all, once the peer has agreed", () => {
  const rig = new Rig();
  const sock = rig.connected();
  release(rig.stack, sock);
  assertEquals(rig.sent, [VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_SHUTDOWN]);
  rig.receive(VIRTIO_VSOCK_OP_RST);
  assertEquals([rig.stack.has(rig.header(0)), rig.stack.nextDeadline()], [false, Infinity]);
  assertEquals(rig.sent.length, 2);
});
