/** What arriving packets do, and which packets calls send. */
import { assertEquals } from "@std/assert";
import { POLLERR, POLLIN, POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { MSG_EOR } from "../../../ffi/abi/socket.ts";
import {
  VIRTIO_VSOCK_OP_CREDIT_REQUEST as CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE as CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_INVALID as INVALID,
  VIRTIO_VSOCK_OP_REQUEST as REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE as RESPONSE,
  VIRTIO_VSOCK_OP_RST as RST,
  VIRTIO_VSOCK_OP_RW as RW,
} from "../../../ffi/abi/virtio_vsock.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import type { Header } from "../../../src/virtio/packet.ts";
import type { Case } from "../case.ts";
import {
  ANY,
  assertPoll,
  bytes,
  refuses,
  setBuffer,
  setConnectTimeout,
  setRcvlowat,
} from "../helpers.ts";
import { receive } from "../verbs.ts";
import { openWire } from "../wire.ts";

const ALL = POLLIN | POLLOUT | POLLRDHUP;
const ops = (packets: readonly Header[]): number[] => packets.map(({ op }) => op);

/** Cases about packets. All need `wire`. */
export const wireCases: readonly Case[] = [
  {
    name: "connect() sends REQUEST with both addresses, the type and the buffer's size",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const socket = wire.socket("seqpacket");
      setBuffer(socket, 5000);
      socket.connect(wire.peer);
      const { srcPort, dstPort, len, type, op, bufAlloc, fwdCnt } = wire.taken()[0]!;
      assertEquals([srcPort, dstPort], [socket.localAddress().port, wire.peer.port]);
      assertEquals([type, op, len, bufAlloc, fwdCnt], [2, REQUEST, 0, 5000, 0]);
    },
  },
  {
    name: "RESPONSE connects, and its buf_alloc is the credit",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket } = wire.connected({ bufAlloc: 100 });
      assertPoll(socket, POLLOUT, ALL);
      assertEquals(socket.takeError(), 0);
      assertEquals(socket.send(bytes(200), 0), 100);
      assertEquals(wire.taken().map(({ op, len }) => [op, len]), [[RW, 100]]);
    },
  },
  {
    name: "a packet that is no answer while connecting gives EPROTO and is answered by RST",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const socket = wire.socket();
      socket.connect(wire.peer);
      wire.taken();
      wire.deliver(socket.localAddress().port, { op: CREDIT_UPDATE });
      assertPoll(socket, POLLERR | POLLOUT, ALL);
      assertEquals(socket.takeError(), 71);
      assertEquals(ops(wire.taken()), [RST]);
    },
  },
  {
    name: "RST while connecting gives ECONNRESET and is not answered",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const socket = wire.socket();
      socket.connect(wire.peer);
      wire.taken();
      wire.deliver(socket.localAddress().port, { op: RST });
      assertPoll(socket, POLLERR | POLLOUT, ALL);
      assertEquals([socket.takeError(), wire.taken()], [104, []]);
    },
  },
  {
    name: "bind() to any port goes on at 1024 after the last one",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near, 0xffff_fffd);
      const ports = Array.from({ length: 3 }, () => {
        const socket = wire.socket();
        socket.bind(ANY);
        return socket.localAddress().port;
      });
      assertEquals(ports, [0xffff_fffd, 0xffff_fffe, 1024]);
    },
  },
  {
    name: "INVALID while connecting is passed over",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const socket = wire.socket();
      socket.connect(wire.peer);
      wire.deliver(socket.localAddress().port, { op: INVALID });
      wire.deliver(socket.localAddress().port, { op: RESPONSE });
      assertPoll(socket, POLLOUT, ALL);
    },
  },
  {
    name: "RESPONSE after the time-out of connect() is answered by RST",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const socket = wire.socket();
      setConnectTimeout(socket, 100);
      socket.connect(wire.peer);
      wire.advance(100);
      assertEquals(socket.takeError(), 110);
      wire.taken();
      wire.deliver(socket.localAddress().port, { op: RESPONSE });
      assertEquals(ops(wire.taken()), [RST]);
      assertPoll(socket, POLLOUT, ALL);
    },
  },
  {
    name: "RESPONSE after close() is answered by RST",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const socket = wire.socket();
      socket.connect(wire.peer);
      const { port } = socket.localAddress();
      socket.close();
      assertEquals(ops(wire.taken()), [REQUEST]);
      wire.deliver(port, { op: RESPONSE });
      assertEquals(ops(wire.taken()), [RST]);
    },
  },
  {
    name: "a packet for no socket is answered by RST without credit; RST is not answered",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      wire.deliver(9999, { op: RW }, bytes(5));
      const [answer, ...more] = wire.taken();
      assertEquals(more, []);
      assertEquals(
        [answer!.op, answer!.srcPort, answer!.dstPort, answer!.bufAlloc, answer!.fwdCnt],
        [RST, 9999, wire.peer.port, 0, 0],
      );
      wire.deliver(9999, { op: RST });
      assertEquals(wire.taken(), []);
    },
  },
  {
    name: "a packet of the wrong type or from somebody else is answered by RST, changes nothing",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      for (const stranger of [{ type: 2 }, { type: 0 }, { type: 7 }, { srcPort: 4999 }]) {
        wire.deliver(port, { op: RW, ...stranger }, bytes(5));
        assertEquals(ops(wire.taken()), [RST]);
      }
      wire.deliver(port, { op: RST, srcPort: 4999 });
      assertPoll(socket, POLLOUT, ALL);
      wire.deliver(port, { op: RW }, bytes(6));
      assertEquals(receive(socket, 99).data, bytes(6));
    },
  },
  {
    name: "RW past the credit ends the connection: RST, ENOBUFS, what was queued is readable",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      setBuffer(socket, 4096);
      wire.taken();
      wire.deliver(port, { op: RW }, bytes(4000, 1));
      wire.deliver(port, { op: RW }, bytes(200, 2));
      assertEquals(ops(wire.taken()), [RST]);
      assertPoll(socket, ALL | POLLERR, ALL);
      assertEquals(receive(socket, 9999).data, bytes(4000, 1));
      assertEquals(socket.takeError(), 105);
      assertEquals(receive(socket, 1).result, 0);
    },
  },
  {
    name: "RW past the credit: recv() gives ENOBUFS once drained, send() once, then 0 and EPIPE",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      setBuffer(socket, 4096);
      wire.deliver(port, { op: RW }, bytes(4000, 1));
      wire.deliver(port, { op: RW }, bytes(200, 2));
      assertEquals(receive(socket, 9999).result, 4000);
      refuses("ENOBUFS", () => receive(socket, 1));
      refuses("ENOBUFS", () => socket.send(bytes(1), 0));
      refuses("EPIPE", () => socket.send(bytes(1), 0));
      assertEquals([receive(socket, 1).result, socket.takeError()], [0, 0]);
    },
  },
  {
    name: "RW past the credit of a seqpacket socket: send() gives EPIPE",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected({}, "seqpacket");
      setBuffer(socket, 4096);
      wire.deliver(port, { op: RW, type: 2, flags: 1 }, bytes(5000, 1));
      refuses("EPIPE", () => socket.send(bytes(1), 0));
      assertEquals(socket.takeError(), 105);
    },
  },
  {
    name: "CREDIT_REQUEST is answered by CREDIT_UPDATE, which says what was drained",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      wire.deliver(port, { op: RW }, bytes(300));
      receive(socket, 300);
      wire.taken();
      wire.deliver(port, { op: CREDIT_REQUEST });
      const [{ op, bufAlloc, fwdCnt }] = wire.taken() as [Header];
      assertEquals([op, bufAlloc, fwdCnt], [CREDIT_UPDATE, 262144, 300]);
      setRcvlowat(socket, 10);
      assertEquals(wire.taken(), [], "the peer knows it all");
    },
  },
  {
    name: "every packet of the peer brings credit: fwd_cnt and buf_alloc",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected({ bufAlloc: 1000 });
      assertEquals(socket.send(bytes(2000), 0), 1000);
      wire.deliver(port, { op: CREDIT_UPDATE, bufAlloc: 1000, fwdCnt: 400 });
      assertEquals(socket.send(bytes(2000), 0), 400);
      wire.deliver(port, { op: RW, bufAlloc: 1500, fwdCnt: 400 }, bytes(1));
      assertEquals(socket.send(bytes(2000), 0), 500);
      assertEquals(socket.send(bytes(2000), 0), WOULD_BLOCK);
    },
  },
  {
    name: "a peer that takes its credit back, or claims bytes never sent, stops the sender",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected({ bufAlloc: 1000 });
      socket.send(bytes(600), 0);
      wire.deliver(port, { op: CREDIT_UPDATE, bufAlloc: 500, fwdCnt: 0 });
      assertEquals(socket.send(bytes(1), 0), WOULD_BLOCK);
      wire.deliver(port, { op: CREDIT_UPDATE, bufAlloc: 1000, fwdCnt: 601 });
      assertEquals(socket.send(bytes(1), 0), WOULD_BLOCK);
      wire.deliver(port, { op: CREDIT_UPDATE, bufAlloc: 1000, fwdCnt: 600 });
      assertEquals(socket.send(bytes(2000), 0), 1000);
    },
  },
  {
    name: "REQUEST to a listener is answered by RESPONSE, anything else by RST",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const listener = wire.socket();
      listener.bind(ANY);
      listener.listen(0);
      const { port } = listener.localAddress();
      wire.deliver(port, { op: RW }, bytes(5));
      assertEquals(ops(wire.taken()), [RST]);
      wire.deliver(port, { op: REQUEST, bufAlloc: 50 });
      assertEquals(ops(wire.taken()), [RESPONSE]);
      wire.deliver(port, { op: REQUEST, srcPort: 5001 });
      assertEquals(ops(wire.taken()), [RST]);
      assertEquals(near.keep(listener.accept()!).send(bytes(100), 0), 50);
    },
  },
  {
    name: "an operation that nobody knows, or RW without bytes, changes nothing",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      for (const op of [INVALID, REQUEST, RESPONSE, 8, 65535, RW]) wire.deliver(port, { op });
      assertPoll(socket, POLLOUT, ALL);
      wire.deliver(port, { op: RW }, bytes(3));
      assertEquals(receive(socket, 9).data, bytes(3));
    },
  },
  {
    name: "send() of a message splits it, EOM and EOR on the last packet only",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket } = wire.connected({}, "seqpacket");
      socket.send(bytes(140_000), MSG_EOR);
      socket.send(bytes(5), 0);
      assertEquals(wire.taken().map(({ len, flags }) => [len, flags]), [
        [65536, 0],
        [65536, 0],
        [8928, 3],
        [5, 1],
      ]);
    },
  },
  {
    name: "recv() of a message waits for the packet with EOM",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected({}, "seqpacket");
      wire.deliver(port, { op: RW, type: 2 }, bytes(300, 1));
      assertEquals(receive(socket, 999).result, WOULD_BLOCK);
      wire.deliver(port, { op: RW, type: 2, flags: 3 }, bytes(200, 2));
      const { data, flags } = receive(socket, 999);
      assertEquals([data.length, flags], [500, MSG_EOR]);
    },
  },
  {
    name: "recv() of each message tells the peer of its credit",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected({}, "seqpacket");
      wire.taken();
      for (const length of [300, 200]) {
        wire.deliver(port, { op: RW, type: 2, flags: 1 }, bytes(length));
      }
      receive(socket, 1);
      receive(socket, 1);
      assertEquals(wire.taken().map(({ op, fwdCnt }) => [op, fwdCnt]), [
        [CREDIT_UPDATE, 300],
        [CREDIT_UPDATE, 500],
      ]);
    },
  },
];
