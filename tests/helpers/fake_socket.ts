/** A socket that does what a test says, for refusals that no loopback gives. */
import type { Socket, SocketType } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";
import { Turns } from "../../src/wait/turns.ts";

function unexpected(): never {
  throw new Error("the test did not say what this call does");
}

/** Calls that `script` leaves out throw, but for those that every socket has to go through. */
export function fakeSocket(script: Partial<Socket>, type: SocketType = "stream"): Socket {
  let closed = false;
  const close = (): void => {
    closed = true;
  };
  return {
    type,
    turns: new Turns(),
    bind: () => {},
    listen: () => {},
    connect: () => true,
    accept: unexpected,
    send: unexpected,
    recv: unexpected,
    shutdown: unexpected,
    getsockopt: unexpected,
    setsockopt: unexpected,
    takeError: (): number => 0,
    outq: unexpected,
    localAddress: () => ({ cid: 1, port: 1024 }),
    remoteAddress: () => ({ cid: 1, port: 1025 }),
    poll: unexpected,
    wait: unexpected,
    waitSync: unexpected,
    ref: unexpected,
    unref: unexpected,
    mmap: unexpected,
    ...script,
    get closed(): boolean {
      return closed;
    },
    close,
    [Symbol.dispose]: close,
  };
}

/** A transport whose next sockets are `sockets`. */
export function fakeTransport(...sockets: Socket[]): Transport {
  return {
    name: "fake",
    capabilities: { seqpacket: true, mapRx: false, waitSync: false },
    localCid: 1,
    socket: () => sockets.shift() ?? unexpected(),
  };
}
