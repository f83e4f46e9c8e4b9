/**
 * Runs the kernel's `vsock_test` in the guest whenever it is told to, and says how it ended.
 *
 * @module
 */
import "../vm/in_guest.ts";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type Ended, runKernelProgram } from "../guest/programs.ts";
import { ControlGuest } from "../vm/control_guest.ts";
import { Words } from "./vsock_test_control.ts";

const HOST = "127.0.0.1";
/** There is nobody else in the guest. */
const PORT = 1999;

using control = new ControlGuest();
const words = new Words(control);

/** Runs the program; `printed` gets all that it has printed so far. */
function start(args: readonly string[], printed: (text: string) => void): Promise<Ended> {
  const where = [`--control-host=${HOST}`, `--control-port=${PORT}`];
  return runKernelProgram("VSOCK_TEST", [...where, ...args], printed);
}

async function carry(socket: Socket): Promise<void> {
  await words.say({ connected: true });
  await words.carry(socket);
}

/** As a client, which connects to us. */
async function runClient(args: readonly string[]): Promise<Ended> {
  const server = createServer().listen(PORT, HOST);
  await once(server, "listening");
  const connected = once(server, "connection");
  const running = start(["--mode=client", ...args], () => {});
  const [socket] = await connected;
  server.close();
  await carry(socket as Socket);
  return await running;
}

/** As a server, which we connect to. */
async function runServer(args: readonly string[]): Promise<Ended> {
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  const running = start(["--mode=server", ...args], (printed) => {
    if (printed.includes("Control socket listening on")) resolve();
  });
  await listening;
  const socket = connect(PORT, HOST);
  await once(socket, "connect");
  await carry(socket);
  return await running;
}

for (;;) {
  const { run, end } = await words.hear();
  if (end) break;
  if (run === undefined) throw new Error("the host has lost its place");
  const ended = await (run.mode === "client" ? runClient : runServer)(run.args);
  await words.say({ ended });
}
