/**
 * How a host reaches a port of a VM: connect(2), a line there, a line back.
 *
 * @module
 */
import { ERRNO, isSysError, SysError } from "../../ffi/errno.ts";
import type { UnixAddress } from "../address.ts";
import type { Socket } from "../socket.ts";
import { LineReader, parseOk } from "./line.ts";

/** What to say, and where. */
export interface Dial {
  /** The socket of the VMM. */
  readonly path: string;
  /** What is sent first. */
  readonly hello: string;
  /** Whether a line comes back. */
  readonly acks: boolean;
  /** The port in the VM, for texts. */
  readonly port: number;
}

/** How a handshake stands. */
export type Outcome =
  /** It goes on: where it has said its line when there is an answer, else after `RETRY_MS`. */
  | { readonly kind: "pending" }
  /** Connected; `port` is what the VMM said, if it said one. */
  | { readonly kind: "done"; readonly port?: number }
  /** Refused. */
  | { readonly kind: "failed"; readonly errno: number; readonly hint: string };

/** Milliseconds until a VMM whose queue is full is asked again: there is no event for that. */
export const RETRY_MS = 2;

/** One handshake over a socket that is its owner's, which calls `step()` until it is over. */
export class Handshake {
  readonly #unix: Socket<UnixAddress>;
  readonly #dial: Dial;
  readonly #deadline: number;
  readonly #line: LineReader = new LineReader();
  #said = false;

  /** Over a fresh socket; `deadline` is a time of `performance.now()`. */
  constructor(unix: Socket<UnixAddress>, dial: Dial, deadline: number) {
    this.#unix = unix;
    this.#dial = dial;
    this.#deadline = deadline;
  }

  /** Milliseconds that are left. */
  get leftMs(): number {
    return Math.max(0, this.#deadline - performance.now());
  }

  /** Whether the VMM has taken the connection: then its answer makes the socket readable. */
  get said(): boolean {
    return this.#said;
  }

  /** Goes as far as it can without waiting. */
  step(): Outcome {
    try {
      if (!this.#said && !this.#say()) return this.#pending();
      return this.#dial.acks ? this.#listen() : { kind: "done" };
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      const errno = error.code === "EPIPE" ? ERRNO.ECONNRESET : error.errno;
      return { kind: "failed", errno, hint: this.#explain(error) };
    }
  }

  /** connect(2), and the line in one write: Firecracker drops who sends it in two. */
  #say(): boolean {
    const { path, hello } = this.#dial;
    try {
      this.#unix.connect({ path });
    } catch (error) {
      if (isSysError(error, "EAGAIN")) return false;
      throw error;
    }
    if (hello !== "" && this.#unix.send(new TextEncoder().encode(hello), 0) !== hello.length) {
      throw new SysError("send", "EIO"); // a fresh socket has room for a line
    }
    return this.#said = true;
  }

  #listen(): Outcome {
    const line = this.#line.read(this.#unix);
    if (line === undefined) return this.#pending();
    if (line === null) throw new SysError("recv", "ECONNRESET");
    const port = parseOk(line);
    if (port !== undefined) return { kind: "done", port };
    throw new SysError("recv", "EPROTO");
  }

  #pending(): Outcome {
    if (this.leftMs > 0) return { kind: "pending" };
    throw new SysError("connect", "ETIMEDOUT");
  }

  #explain({ code, op }: SysError): string {
    const { path, port } = this.#dial;
    const at = path.replace(/^\0/, "@");
    switch (code) {
      case "ENOENT":
        return `there is no ${at}: is the VM up`;
      case "ECONNREFUSED":
        return `no VMM listens on ${at} any more`;
      case "EACCES":
        return `${at} is not open to this user: see its mode`;
      case "ETIMEDOUT":
        return this.#said
          ? `the VMM at ${at} did not answer for port ${port}`
          : `the queue of the VMM at ${at} stayed full`;
      case "EPROTO":
        return `the VMM at ${at} answered ${JSON.stringify(this.#line.text)} in place of OK`;
      case "EPIPE":
      case "ECONNRESET":
        return `the VMM at ${at} closed before OK: nobody in the VM listens on port ${port}, ` +
          "or its queue is full";
      default:
        return op === "connect"
          ? `${at} cannot be connected to`
          : `${op} fails on the way to the VMM at ${at}`;
    }
  }
}
