/**
 * Connections come and go: refused, closed by either end, many at once, from the same port again.
 *
 * @module
 */
import type { Socket } from "../../../socket.ts";
import type { TestCase } from "../case.ts";
import { expect, expectErrno } from "../check.ts";
import { A, CONNECTED, type End } from "../end.ts";

/** With the standard socket sizes, VMCI can have about 100 stream connections at once. */
const MANY = 100;

async function connectIsReset(end: End): Promise<void> {
  using socket = end.socket();
  expect("connect", await end.tryConnect(socket), "ECONNRESET");
}

/** One end's byte has come, and it has closed: send fails, the byte can still be read. */
async function afterClose(end: End, connected: Promise<Socket>): Promise<void> {
  using socket = await connected;
  await end.waitRemoteClose(socket);
  expectErrno("send after the peer's close", "EPIPE", () => socket.send(Uint8Array.of(A), 0));
  await end.receiveByte(socket);
  await end.receiveEnd(socket);
}

async function sendAndClose(end: End, connected: Promise<Socket>): Promise<void> {
  using socket = await connected;
  await end.sendByte(socket);
}

/** A byte over each of many connections: over every second one to the client. */
async function many(end: End, open: () => Promise<Socket>): Promise<void> {
  using opened = new DisposableStack();
  const sockets: Socket[] = [];
  for (let n = 0; n < MANY; n++) sockets.push(opened.use(await open()));
  for (const [n, socket] of sockets.entries()) {
    if ((n % 2 === 0) === (end.mode === "client")) await end.sendByte(socket);
    else await end.receiveByte(socket);
  }
}

/** Nobody listens. */
export const connectionReset: TestCase = {
  name: "SOCK_STREAM connection reset",
  client: connectIsReset,
};

/** The port is bound, and nobody listens. */
export const bindOnly: TestCase = {
  name: "SOCK_STREAM bind only",
  async client(end) {
    await end.control.expect("BIND");
    await connectIsReset(end);
    end.control.send("DONE");
  },
  async server(end) {
    using _bound = end.bind();
    end.control.send("BIND");
    await end.control.expect("DONE");
  },
};

/** The client sends and closes. */
export const clientClose: TestCase = {
  name: "SOCK_STREAM client close",
  client: (end) => sendAndClose(end, end.connect()),
  server: (end) => afterClose(end, end.accept()),
};

/** The server sends and closes. */
export const serverClose: TestCase = {
  name: "SOCK_STREAM server close",
  client: (end) => afterClose(end, end.connect()),
  server: (end) => sendAndClose(end, end.accept()),
};

/** A hundred connections at once, each from a listener of its own. */
export const multipleConnections: TestCase = {
  name: "SOCK_STREAM multiple connections",
  client: (end) => many(end, () => end.connect()),
  server: (end) => many(end, () => end.accept()),
};

/** The client connects from one port twice. */
export const doubleBindConnect: TestCase = {
  name: "SOCK_STREAM double bind connect",
  async client(end) {
    for (let turn = 0; turn < 2; turn++) {
      await end.control.expect("LISTENING");
      using socket = end.bind(end.peer.port + 1);
      expect("connect", await end.tryConnect(socket), CONNECTED);
    }
  },
  async server(end) {
    using listener = end.listen();
    // Kept open: the RST of a close might meet the next connection from that port.
    using accepted = new DisposableStack();
    for (let turn = 0; turn < 2; turn++) {
      end.control.send("LISTENING");
      await end.waitRemoteClose(accepted.use(await end.acceptFrom(listener)));
    }
  },
};
