/**
 * Half close: send is refused.
 *
 * @module
 */
import { setTimeout } from "node:timers/promises";
import { SHUT_RD, SHUT_WR } from "../../../../ffi/abi/socket.ts";
import type { Socket } from "../../../socket.ts";
import type { TestCase } from "../case.ts";
import { expectErrno } from "../check.ts";
import { A, type End } from "../end.ts";

/**
 * Fails unless send gives EPIPE. C looks for SIGPIPE too, and for none with MSG_NOSIGNAL, which
 * every `Socket.send()` has.
 */
function expectBrokenPipe(socket: Socket): void {
  for (let turn = 0; turn < 2; turn++) {
    expectErrno("send after a shutdown", "EPIPE", () => socket.send(Uint8Array.of(A), 0));
  }
}

/** Milliseconds that a SHUTDOWN has to arrive: a line of the control socket can overtake it. */
const ARRIVAL_MS = 100;

async function waitForClient(end: End): Promise<void> {
  using _socket = await end.accept();
  await end.control.expect("CLIENTDONE");
}

/** The client has shut down its own send. */
export const shutWr: TestCase = {
  name: "SOCK_STREAM SHUT_WR",
  async client(end) {
    using socket = await end.connect();
    socket.shutdown(SHUT_WR);
    expectBrokenPipe(socket);
    end.control.send("CLIENTDONE");
  },
  server: waitForClient,
};

/** The server has shut down its receive. */
export const shutRd: TestCase = {
  name: "SOCK_STREAM SHUT_RD",
  async client(end) {
    using socket = await end.connect();
    await end.control.expect("SHUTRDDONE");
    await setTimeout(ARRIVAL_MS);
    expectBrokenPipe(socket);
    end.control.send("CLIENTDONE");
  },
  async server(end) {
    using socket = await end.accept();
    socket.shutdown(SHUT_RD);
    await setTimeout(ARRIVAL_MS);
    end.control.send("SHUTRDDONE");
    await end.control.expect("CLIENTDONE");
  },
};
