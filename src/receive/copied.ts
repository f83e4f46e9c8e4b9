/**
 * Receive by copying, where nothing can be mapped: recv(2) into one buffer, in the same shape.
 *
 * @module
 */
import { MSG_EOR, MSG_PEEK, MSG_TRUNC } from "../../ffi/abi/socket.ts";
import { POLLIN } from "../../ffi/abi/poll.ts";
import { VIRTIO_VSOCK_SEQ_EOM, VIRTIO_VSOCK_SEQ_EOR } from "../../ffi/abi/virtio_vsock.ts";
import { VsockError } from "../error.ts";
import { SocketOptions } from "../options.ts";
import { recvConnected } from "../recv.ts";
import { type AnySocket, type MessageFlags, WOULD_BLOCK } from "../socket.ts";
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
  readonly #mayOutgrow: boolean;
  #bytes: Uint8Array<ArrayBuffer>;
  #size: number;
  #lent = false;
  #broken: unknown;

  /** Copies at most `byteLength` bytes at once, but never a part of a message. */
  constructor(socket: AnySocket, byteLength: number) {
    this.#socket = socket;
    this.#size = byteLength;
    this.#bytes = new Uint8Array(byteLength);
    // The credit given to the peer bounds a message.
    this.#mayOutgrow = socket.type === "seqpacket" &&
      new SocketOptions(socket).bufferSize > byteLength;
  }

  readable(): boolean {
    return this.#socket.poll(POLLIN) !== 0;
  }

  dequeue(): LentBatch | null | undefined {
    if (this.#broken !== undefined) throw this.#broken;
    const message = this.#socket.type === "seqpacket";
    if (this.#mayOutgrow) this.#makeRoom();
    const length = message
      ? recvConnected(this.#socket, this.#bytes, MSG_TRUNC, this.#out)
      : recvConnected(this.#socket, this.#bytes, 0); // no msghdr, which is dearer
    if (length === WOULD_BLOCK) return undefined;
    if (length === 0) return null;
    if (length > this.#size) {
      const hint = `a message of ${length} bytes was cut to ${this.#size}`;
      throw this.#broken = new VsockError("recv", "EMSGSIZE", { hint });
    }
    this.#headers.setOne(length, message ? seqFlags(this.#out.flags) : 0);
    return new LentBatch(this.#headers, this);
  }

  /** Grows the buffer to the length of the next message. */
  #makeRoom(): void {
    const length = recvConnected(this.#socket, this.#bytes.subarray(0, 1), MSG_PEEK | MSG_TRUNC);
    if (length <= this.#size) return;
    this.#size = length;
    this.#bytes = new Uint8Array(length);
  }

  lend(_page: number, length: number): Uint8Array {
    this.#lent = true;
    return this.#bytes.subarray(0, length);
  }

  reclaim(): void {
    if (!this.#lent) return;
    this.#lent = false;
    const { buffer } = this.#bytes;
    // The user may have transferred it away, to a Worker for example.
    const next = buffer.detached ? new ArrayBuffer(this.#size) : buffer.transfer();
    this.#bytes = new Uint8Array(next);
  }

  close(): void {
    this.#bytes = new Uint8Array(0);
  }
}

function seqFlags(msgFlags: number): number {
  return VIRTIO_VSOCK_SEQ_EOM | ((msgFlags & MSG_EOR) === 0 ? 0 : VIRTIO_VSOCK_SEQ_EOR);
}
