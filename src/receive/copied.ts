/**
 * Receive by copying, where nothing can be mapped: recv(2) into one buffer, in the same shape.
 *
 * @module
 */
import { MSG_EOR, MSG_TRUNC } from "../../ffi/abi/socket.ts";
import { POLLIN } from "../../ffi/abi/poll.ts";
import { VIRTIO_VSOCK_SEQ_EOM, VIRTIO_VSOCK_SEQ_EOR } from "../../ffi/abi/virtio_vsock.ts";
import { VsockError } from "../error.ts";
import { isEnd, nextLength, recvConnected } from "../conn/recv.ts";
import { type AnySocket, type MessageFlags, WOULD_BLOCK } from "../socket.ts";
import { CopyBuffer } from "./copy_buffer.ts";
import { type Lender, LentBatch } from "./lent_batch.ts";
import type { Source } from "./source.ts";
import { UsrHeaders } from "./usr_hdr.ts";

/**
 * Batches of one packet: what one recv(2) gave, on SEQPACKET one whole message. The buffer is used
 * again after the release, under another `ArrayBuffer`, so that views of before are dead.
 */
export class CopiedSource implements Source, Lender {
  readonly mapped = false;
  readonly volatile = false;
  readonly spins = false;
  readonly #socket: AnySocket;
  readonly #headers: UsrHeaders = new UsrHeaders();
  readonly #out: MessageFlags = { flags: 0 };
  readonly #buffer: CopyBuffer;
  #broken: unknown;

  /** Copies at most `byteLength` bytes at once, but never a part of a message. */
  constructor(socket: AnySocket, byteLength: number) {
    this.#socket = socket;
    this.#buffer = new CopyBuffer(byteLength);
  }

  readable(): boolean {
    return this.#socket.poll(POLLIN) !== 0;
  }

  dequeue(): LentBatch | null | undefined {
    if (this.#broken !== undefined) throw this.#broken;
    const message = this.#socket.type === "seqpacket";
    let length: number;
    do {
      length = this.#receive(message);
      if (length === WOULD_BLOCK) return undefined;
      if (length === 0 && !(message && !isEnd(this.#socket))) return null;
    } while (length === 0); // a batch has bytes: a message without any is passed over
    if (length > this.#buffer.byteLength) {
      const hint = `a message of ${length} bytes was cut to ${this.#buffer.byteLength}`;
      throw this.#broken = new VsockError("recv", "EMSGSIZE", { hint });
    }
    this.#headers.setOne(length, message ? seqFlags(this.#out.flags) : 0);
    return new LentBatch(this.#headers, this);
  }

  #receive(message: boolean): number {
    const { bytes } = this.#buffer;
    if (!message) return recvConnected(this.#socket, bytes, 0); // no msghdr, which is dearer
    const next = nextLength(this.#socket, bytes.subarray(0, 1));
    if (next === WOULD_BLOCK) return next;
    if (next > this.#buffer.byteLength) this.#buffer.byteLength = next;
    return recvConnected(this.#socket, this.#buffer.bytes, MSG_TRUNC, this.#out);
  }

  lend(_page: number, length: number): Uint8Array {
    return this.#buffer.lend(0, length);
  }

  reclaim(): void {
    this.#buffer.reclaim();
  }

  close(): void {
    this.#buffer.free();
  }
}

function seqFlags(msgFlags: number): number {
  return VIRTIO_VSOCK_SEQ_EOM | ((msgFlags & MSG_EOR) === 0 ? 0 : VIRTIO_VSOCK_SEQ_EOR);
}
