/**
 * MSG_PEEK: data is seen and stays.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { MSG_PEEK, MSG_TRUNC } from "../../../../ffi/abi/socket.ts";
import { type SocketType, WOULD_BLOCK } from "../../../socket.ts";
import type { TestCase } from "../case.ts";
import { expect, expectBytes } from "../check.ts";

const LENGTH = 64;

function peek(name: string, type: SocketType): TestCase {
  return {
    name,
    async client(end) {
      using socket = await end.connect(type);
      await end.control.expect("SRVREADY");
      await end.send(socket, randomBytes(LENGTH));
    },
    async server(end) {
      using socket = await end.accept(type);
      expect("peek at nothing", socket.recv(new Uint8Array(LENGTH), MSG_PEEK), WOULD_BLOCK);
      end.control.send("SRVREADY");
      const half = await end.receiveAll(socket, LENGTH / 2, MSG_PEEK);
      const whole = await end.receiveAll(socket, LENGTH, MSG_PEEK);
      expectBytes("peek at a half", half, whole.subarray(0, LENGTH / 2));
      if (type === "seqpacket") {
        const real = await end.receive(socket, new Uint8Array(LENGTH / 2), MSG_PEEK | MSG_TRUNC);
        expect("peek at the length", real, LENGTH);
      }
      expectBytes("recv after a peek", await end.receiveAll(socket, LENGTH), whole);
    },
  };
}

/** Of a stream: a half, then all. */
export const streamPeek: TestCase = peek("SOCK_STREAM MSG_PEEK", "stream");

/** Of a message: a half, all, and its length. */
export const seqpacketPeek: TestCase = peek("SOCK_SEQPACKET MSG_PEEK", "seqpacket");
