/**
 * The control socket: one TCP connection on which the two ends of a run keep in step, line by line,
 * as `control.c` of the kernel's `tools/testing/vsock` has it.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { requireNet } from "../environment.ts";

/** How long one step may take, here and at the peer. */
export const TIMEOUT_MS = 10_000;
/** The longest line that a peer may send; those of the protocol have 20 characters at most. */
const MAX_LINE = 256;

/** One end of the control socket. The caller closes it. */
export class Control implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #lines: string[] = [];
  #rest = "";
  #ended: Error | undefined;
  #wake: (() => void) | undefined;

  /** Over a connected socket, which it owns from now on. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#take(text));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("Unexpected EOF on the control socket")));
  }

  /** Sends one line. */
  send(line: string): void {
    this.#socket.write(`${line}\n`);
  }

  /** The peer's next line. Fails when there is none within `TIMEOUT_MS`, or no more at all. */
  async read(): Promise<string> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake?.();
    }, TIMEOUT_MS);
    try {
      for (;;) {
        const line = this.#lines.shift();
        if (line !== undefined) return line;
        if (this.#ended !== undefined) throw this.#ended;
        if (late) throw new Error(`No line on the control socket for ${TIMEOUT_MS / 1000} s`);
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Fails unless the peer's next line is `line`. */
  async expect(line: string): Promise<void> {
    const found = await this.read();
    if (found !== line) {
      throw new Error(`Expected "${line}" on the control socket, got "${found}"`);
    }
  }

  /** A hash that the peer sent: unsigned, 64 bits, in decimal. */
  async readHash(): Promise<bigint> {
    const line = await this.read();
    if (/^\d{1,20}$/.test(line)) return BigInt(line);
    throw new Error(`Expected a number on the control socket, got "${line}"`);
  }

  /** Closes it after what has been sent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended === undefined) {
      await new Promise<void>((resolve) => {
        this.#socket.once("close", resolve);
        this.#socket.end(() => resolve());
      });
    }
    this.#socket.destroy();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    this.#lines.push(...lines);
    if (this.#rest.length > MAX_LINE) this.#socket.destroy(new Error("The peer's line is endless"));
    this.#wake?.();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#wake?.();
  }
}

/** Connects the control socket of a client. */
export async function connectControl(host: string, port: number): Promise<Control> {
  const doing = `connect the control socket to ${host}:${port}`;
  requireNet(host, port, doing);
  const socket = connect({ host, port });
  await settled(socket, "connect", doing);
  return new Control(socket);
}

/** Where a server waits for its one client. Closed by `accept()`, or by its owner. */
export class ControlListener implements Disposable {
  readonly #server: Server;
  readonly #accepted: Promise<Socket>;

  private constructor(server: Server) {
    this.#server = server;
    this.#accepted = new Promise((resolve) => server.once("connection", resolve));
  }

  /** Listens on TCP `port`; 0 lets the system choose. */
  static async open(host: string, port: number): Promise<ControlListener> {
    const doing = `listen for the control socket on ${host}:${port}`;
    requireNet(host, port, doing);
    const server = createServer();
    const listener = new ControlListener(server);
    server.listen({ host, port, backlog: 1 });
    await settled(server, "listening", doing);
    return listener;
  }

  /** The TCP port. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Waits for the client, for as long as it takes. */
  async accept(): Promise<Control> {
    const control = new Control(await this.#accepted);
    this.#server.close();
    return control;
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    this.#server.close();
  }
}

/** Waits for `event`, or fails with what went wrong. */
async function settled(emitter: Socket | Server, event: string, doing: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(new Error(`Cannot ${doing}: ${cause.message}`, { cause }));
    emitter.once("error", fail);
    emitter.once(event, () => {
      emitter.off("error", fail);
      resolve();
    });
  });
}
