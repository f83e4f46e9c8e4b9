/**
 * The host's end of the control port: messages from and to the command of a guest.
 *
 * @module
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { encodeLine, LineDecoder, type Messages } from "./json_lines.ts";

/** Listens for the one machine that is started with `--control PATH`. */
export class ControlHost implements Messages, AsyncDisposable {
  /** What to give to `--control`. */
  readonly path: string;
  readonly #server: Server;
  /** QEMU's end; `undefined` where it was closed before one came. */
  readonly #machine: Promise<Socket | undefined>;

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
    this.#machine = new Promise((resolve) => {
      server.once("close", () => resolve(undefined)); // which waits for the connections
      server.once("connection", (socket: Socket) => {
        socket.on("error", () => {}); // a machine that was killed is one that has ended
        resolve(socket);
      });
    });
  }

  /** Listens at `path`. The caller closes it. */
  static async listen(path: string): Promise<ControlHost> {
    const server = createServer();
    const control = new ControlHost(path, server);
    server.listen(path);
    await once(server, "listening");
    return control;
  }

  /** Waits for the machine; the command may open its port later, and gets the message then. */
  async send(message: unknown): Promise<void> {
    const machine = await this.#machine;
    if (machine === undefined) throw new Error("Cannot send to the guest: no machine has come");
    await new Promise<void>((resolve, reject) => {
      machine.write(encodeLine(message), (error) => error ? reject(error) : resolve());
    });
  }

  /** What the command sends, up to the end of the machine. May be iterated once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    const machine = await this.#machine;
    if (machine === undefined) return;
    const decoder = new LineDecoder();
    for await (const chunk of untilEnd(machine)) yield* decoder.push(chunk);
  }

  /** Ends both directions; the machine goes on. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.once("connection", (socket: Socket) => socket.destroy());
    void this.#machine.then((machine) => machine?.destroy());
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What a socket receives; a connection that is reset has ended. */
async function* untilEnd(socket: Socket): AsyncGenerator<Uint8Array> {
  try {
    yield* socket;
  } catch (error) {
    if (!socket.destroyed) throw error;
  }
}
