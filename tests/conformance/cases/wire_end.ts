/** How packets end a connection, and which packets its end makes. */
import { assertEquals } from "@std/assert";
import { POLLIN, POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { SHUT_RD, SHUT_WR } from "../../../ffi/abi/socket.ts";
import {
  VIRTIO_VSOCK_OP_REQUEST as REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE as RESPONSE,
  VIRTIO_VSOCK_OP_RST as RST,
  VIRTIO_VSOCK_OP_RW as RW,
  VIRTIO_VSOCK_OP_SHUTDOWN as SHUTDOWN,
} from "../../../ffi/abi/virtio_vsock.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import type { Header } from "../../../src/virtio/packet.ts";
import type { Case } from "../case.ts";
import { ANY, assertPoll, bytes, refuses } from "../helpers.ts";
import { receive } from "../verbs.ts";
import { openWire } from "../wire.ts";

const ALL = POLLIN | POLLOUT | POLLRDHUP;
const ops = (packets: readonly Header[]): number[] => packets.map(({ op }) => op);

/** Cases about the end. All need `wire`. */
export const wireEndCases: readonly Case[] = [
  {
    name: "RST of a connection: bytes stay readable, then 0; EPIPE, SO_ERROR 0, no POLLHUP",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      wire.deliver(port, { op: RW }, bytes(10));
      wire.deliver(port, { op: RST });
      assertPoll(socket, ALL, ALL);
      refuses("EPIPE", () => socket.send(bytes(1), 0));
      assertEquals(receive(socket, 99).data, bytes(10));
      assertEquals([receive(socket, 1).result, socket.takeError()], [0, 0]);
      assertPoll(socket, ALL, ALL);
    },
  },
  {
    name: "SHUTDOWN of both ways with nothing queued is answered by RST, else only by close()",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const [empty, full] = [wire.connected(), wire.connected()];
      wire.deliver(empty.port, { op: SHUTDOWN, flags: 3 });
      assertEquals(ops(wire.taken()), [RST]);
      wire.deliver(full.port, { op: RW }, bytes(5));
      wire.deliver(full.port, { op: SHUTDOWN, flags: 3 });
      assertEquals(wire.taken(), []);
      assertEquals(receive(full.socket, 9).result, 5);
      wire.taken();
      full.socket.close();
      assertEquals(ops(wire.taken()), [RST]);
    },
  },
  {
    name: "recv() after shutdown() of what the peer has ended gives ENOTCONN until RST",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      wire.deliver(port, { op: SHUTDOWN, flags: 3 });
      assertEquals(receive(socket, 1).result, 0);
      socket.shutdown(SHUT_WR);
      refuses("ENOTCONN", () => receive(socket, 1));
      wire.deliver(port, { op: RST });
      assertEquals(receive(socket, 1).result, 0);
    },
  },
  {
    name: "SHUTDOWN of both ways frees the peer's port for a new connection, bytes unread or not",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const listener = wire.socket();
      listener.bind(ANY);
      listener.listen(8);
      const { port } = listener.localAddress();
      wire.deliver(port, { op: REQUEST });
      const first = near.keep(listener.accept()!);
      wire.deliver(port, { op: RW }, bytes(5));
      wire.deliver(port, { op: SHUTDOWN, flags: 3 });
      wire.deliver(port, { op: REQUEST });
      assertEquals(ops(wire.taken()), [RESPONSE, RESPONSE]);
      wire.deliver(port, { op: RW }, bytes(7));
      assertEquals(receive(near.keep(listener.accept()!), 99).data, bytes(7));
      assertEquals(receive(first, 99).data, bytes(5));
    },
  },
  {
    name: "SHUTDOWN without flags changes nothing",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      wire.deliver(port, { op: SHUTDOWN, flags: 0 });
      assertPoll(socket, POLLOUT, ALL);
      assertEquals(receive(socket, 1).result, WOULD_BLOCK);
    },
  },
  {
    name: "shutdown() sends SHUTDOWN: RCV is 1, SEND is 2",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket } = wire.connected();
      socket.shutdown(SHUT_RD);
      socket.shutdown(SHUT_WR);
      assertEquals(wire.taken().map(({ op, flags }) => [op, flags]), [[SHUTDOWN, 1], [
        SHUTDOWN,
        2,
      ]]);
    },
  },
  {
    name: "close() sends SHUTDOWN 3, and RST when 8 seconds pass without an answer",
    needs: ["wire"],
    run(near) {
      const wire = openWire(near);
      const { socket, port } = wire.connected();
      socket.close();
      assertEquals(wire.taken().map(({ op, flags }) => [op, flags]), [[SHUTDOWN, 3]]);
      wire.advance(7_999);
      assertEquals(wire.taken(), []);
      wire.advance(1);
      assertEquals(ops(wire.taken()), [RST]);
      wire.deliver(port, { op: RW }, bytes(1));
      assertEquals(ops(wire.taken()), [RST]);
      const answered = wire.connected();
      answered.socket.close();
      wire.deliver(answered.port, { op: RST });
      wire.taken();
      wire.advance(60_000);
      assertEquals(wire.taken(), []);
    },
  },
];
