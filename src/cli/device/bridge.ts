/**
 * A guest's ports behind Unix sockets, for other processes: as Firecracker has them.
 *
 * @module
 */
import { SysError } from "../../../ffi/errno.ts";
import type { UnixAddress, VsockAddress } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { connect } from "../../connect.ts";
import { attempt, VsockError } from "../../error.ts";
import { portPath } from "../../hybrid/dialect.ts";
import { openStream } from "../../hybrid/transport.ts";
import { VmmPath } from "../../hybrid/vmm_path.ts";
import type { KernelSocket } from "../../kernel/socket.ts";
import type { SocketType } from "../../socket.ts";
import type { Transport } from "../../transport.ts";
import type { Repeats } from "../output/repeats.ts";
import type { Refusal, Way } from "./log.ts";
import type { Sessions } from "./sessions.ts";

/** What a bridge needs of its device. */
export interface BridgeHost {
  readonly device: Transport;
  readonly sessions: Sessions;
  readonly repeats: Pick<Repeats<Refusal>, "tell">;
}

/**
 * The ports of one guest. `CONNECT port` at the path reaches into it; where it connects to a port
 * of the host, it reaches `path_port`.
 */
export class Bridge {
  readonly #cid: number;
  readonly #path: string;
  readonly #host: BridgeHost;
  readonly #vmmPath: VmmPath;
  readonly #closed: AbortController = new AbortController();
  /** Connections from the host that the guest has not taken yet. */
  #begun = 0;

  /** Starts to listen. @throws {VsockError} `EADDRINUSE` if somebody listens on `path`. */
  constructor(cid: number, path: string, host: BridgeHost) {
    this.#cid = cid;
    this.#path = path;
    this.#host = host;
    this.#vmmPath = attempt(
      "listen",
      { path },
      () => new VmmPath(path, (unix, port) => this.#toGuest(unix, port)),
    );
  }

  /** The guest connects to `port`: accepts that where somebody listens on its path. */
  fromGuest(port: number, type: SocketType, accept: () => Conn<VsockAddress>): void {
    const way: Way = { cid: this.#cid, port, from: "guest" };
    if (this.#closed.signal.aborted) return;
    const full = this.#host.sessions.full(this.#cid, this.#begun);
    if (full !== undefined) return this.#refuse(way, full);
    if (type !== "stream") return this.#refuse(way, "a Unix socket here has no messages");
    let unix: KernelSocket<UnixAddress> | undefined;
    try {
      unix = openStream("stream");
      unix.connect({ path: portPath(this.#path, port) });
      this.#host.sessions.start(way, accept().socket, unix);
    } catch (error) {
      unix?.close();
      if (!(error instanceof SysError) && !(error instanceof VsockError)) throw error;
      this.#refuse(way, error.message);
    }
  }

  /** Whether the guest takes it. */
  async #toGuest(unix: KernelSocket<UnixAddress>, port: number): Promise<boolean> {
    const way: Way = { cid: this.#cid, port, from: "host" };
    const { device, sessions } = this.#host;
    const full = sessions.full(this.#cid, this.#begun);
    let conn: Conn<VsockAddress> | undefined;
    this.#begun++;
    try {
      if (full !== undefined) throw new Error(full);
      const { signal } = this.#closed;
      conn = await connect({ cid: this.#cid, port }, { transport: device, signal });
      signal.throwIfAborted();
      unix.send(new TextEncoder().encode(`OK ${conn.localAddr.port}\n`), 0);
      sessions.start(way, conn.socket, unix);
      return true;
    } catch (error) {
      conn?.close();
      this.#refuse(way, error instanceof Error ? error.message : String(error));
      return false;
    } finally {
      this.#begun--;
    }
  }

  #refuse(way: Way, reason: string): void {
    this.#host.repeats.tell(`${way.cid} ${way.from}`, { event: "refuse", ...way, reason });
  }

  /** Unlinks the path, and takes no more connections from either side. */
  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(new Error("the device ends"));
    this.#vmmPath.close();
  }
}
