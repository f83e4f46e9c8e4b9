/**
 * AF_VSOCK of this guest's kernel as a ground for sequences of calls: it comes to rest.
 *
 * @module
 */
import { POLLIN } from "../../ffi/abi/poll.ts";
import { VMADDR_CID_LOCAL } from "../../ffi/abi/vm_sockets.ts";
import { openVsock, VMADDR_PORT_ANY } from "../../mod.ts";
import type { Socket } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";
import { accepted, connected } from "../conformance/verbs.ts";
import type { Ground } from "../fuzz/socket_world.ts";

/**
 * How often what arrives sends something in its turn: a SHUTDOWN makes a RST, a REQUEST a RESPONSE
 * and that another RST. One more for good measure.
 */
const ANSWERS = 4;
const PATIENCE_MS = 60_000;

/** The kernel. */
export class KernelGround implements Ground, Disposable {
  readonly transport: Transport = openVsock();
  readonly #ends: readonly [Socket, Socket];
  readonly #byte: Uint8Array<ArrayBuffer> = new Uint8Array(1);

  private constructor(ends: readonly [Socket, Socket]) {
    this.#ends = ends;
  }

  /** With a connection of its own. The caller closes it. */
  static async open(): Promise<KernelGround> {
    using listener = openVsock().socket("stream");
    listener.bind({ cid: VMADDR_CID_LOCAL, port: VMADDR_PORT_ANY });
    listener.listen(0);
    const near = openVsock().socket("stream");
    await connected(near, listener.localAddress());
    return new KernelGround([near, await accepted(listener)]);
  }

  /** vsock_loopback has one queue for all: what was in it before a byte has come before it. */
  async settle(): Promise<void> {
    let [from, to] = this.#ends;
    for (let turn = 0; turn < ANSWERS; turn++) {
      from.send(this.#byte, 0);
      if ((to.waitSync(POLLIN, PATIENCE_MS) & POLLIN) === 0) throw new Error("no byte has come");
      to.recv(this.#byte, 0);
      [from, to] = [to, from];
    }
    await Promise.resolve(); // the model's turn
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends) end.close();
  }
}
