/**
 * Random sequences of socket calls, as plain data: what was drawn can be printed, cut and replayed.
 *
 * @module
 */
import { PROT_READ, PROT_WRITE } from "../../ffi/abi/mman.ts";
import { SO_VM_SOCKETS_ZEROCOPY } from "../../ffi/abi/virtio_vsock_usr.ts";
import {
  MSG_EOR,
  MSG_PEEK,
  MSG_TRUNC,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_ERROR,
  SO_LINGER,
  SO_PROTOCOL,
  SO_RCVLOWAT,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
  SO_TYPE,
  SO_ZEROCOPY,
  SOL_SOCKET,
} from "../../ffi/abi/socket.ts";
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD,
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
} from "../../ffi/abi/vm_sockets.ts";
import type { SocketType } from "../../src/socket.ts";

/** One of the ports of a sequence, one below 1024, any, or that of another socket. */
export type Port = number | "reserved" | "any" | { readonly of: number };

/** One call; `on` counts the sockets that there are, and starts again behind the last. */
export type Call =
  | { readonly call: "socket"; readonly type: SocketType }
  | { readonly call: "bind" | "connect"; readonly on: number; readonly cid: number; port: Port }
  | { readonly call: "listen"; readonly on: number; readonly backlog: number }
  | { readonly call: "send" | "recv"; readonly on: number; length: number; flags: number }
  | { readonly call: "shutdown"; readonly on: number; readonly how: number }
  | { readonly call: "mmap"; readonly on: number; readonly pages: number; readonly prot: number }
  | { readonly call: "accept" | "close" | "mapRx" | "advise" | "unmap"; readonly on: number }
  | Question;

/** A call that changes at most an option. */
export type Question =
  | { readonly call: "getsockopt"; on: number; level: number; name: number; length: number }
  | { readonly call: "setsockopt"; on: number; level: number; name: number; value: string }
  | { readonly call: "takeError" | "outq" | "getsockname" | "getpeername"; readonly on: number };

/** How many ports a sequence has to itself. */
export const PORTS = 3;

const SIZES = [SO_VM_SOCKETS_BUFFER_SIZE, SO_VM_SOCKETS_BUFFER_MIN_SIZE];
SIZES.push(SO_VM_SOCKETS_BUFFER_MAX_SIZE);
const TIMEOUTS = [SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW];
const INTS = [SO_RCVLOWAT, SO_RCVLOWAT, SO_RCVLOWAT, SO_ZEROCOPY, SO_ERROR, SO_TYPE, SO_ACCEPTCONN];
INTS.push(SO_PROTOCOL, SO_DOMAIN, 999);
const TIMEVALS = [SO_RCVTIMEO, SO_SNDTIMEO];
const BYTES = [0, 1, 127, 128, 129, 576, 1000, 1152, 4096, 10_000, 65_535, 65_536, 65_537, 131_072];
BYTES.push(200_000, 262_143, 262_144, 262_145, 300_000);
const PLAIN = [
  "accept",
  "accept",
  "close",
  "takeError",
  "outq",
  "getsockname",
  "getpeername",
] as const;

/** Draws sequences. */
export class Sequences {
  readonly #random: () => number;
  readonly #maps: boolean;

  /** Of numbers from 0 up to 1; `maps` has them receive by mapping, too. */
  constructor(random: () => number, maps: boolean) {
    this.#random = random;
    this.#maps = maps;
  }

  /** A connection most times, then calls at random, then whatever is left to be read. */
  draw(most: number): Call[] {
    const type = this.#type();
    const calls: Call[] = [];
    if (this.#below(10) > 0) calls.push(...this.#connection(type));
    else calls.push({ call: "socket", type });
    for (let left = 1 + this.#below(most); left > 0; left--) calls.push(this.#any(type));
    for (let on = 1; on < 5; on++) calls.push(...this.#drain(on));
    return calls;
  }

  #connection(type: SocketType): Call[] {
    const calls: Call[] = [{ call: "socket", type }, { call: "socket", type }];
    for (let on = 0; on < 2; on++) {
      if (this.#below(2) === 0) calls.push(this.#size(on));
      if (this.#maps && this.#below(3) > 0) calls.push(this.#zerocopy(on));
    }
    const cid = this.#of(VMADDR_CID_ANY, VMADDR_CID_LOCAL);
    calls.push({ call: "bind", on: 0, cid, port: 0 });
    if (this.#below(4) === 0) calls.push({ call: "bind", on: 1, cid, port: 1 });
    calls.push({ call: "listen", on: 0, backlog: this.#below(3) });
    calls.push({ call: "connect", on: 1, cid: VMADDR_CID_LOCAL, port: 0 });
    if (this.#below(10) > 0) calls.push({ call: "accept", on: 0 });
    return calls;
  }

  #drain(on: number): Call[] {
    const recv: Call = { call: "recv", on, length: 300_000, flags: MSG_TRUNC };
    return [recv, { call: "takeError", on }, recv];
  }

  #any(type: SocketType): Call {
    // Most of what can happen happens to the two that are connected first.
    const on = this.#below(3) === 0 ? this.#below(6) : 1 + this.#below(2);
    if (this.#maps && this.#below(4) === 0) return this.#mapping(on);
    const draw = this.#below(100);
    if (draw < 27) return { call: "send", on, length: this.#length(), flags: this.#of(0, MSG_EOR) };
    if (draw < 54) return this.#recv(on);
    if (draw < 60) return { call: "shutdown", on, how: this.#of(0, 1, 2, 0, 1, 2, 3, -1) };
    if (draw < 70) return { call: this.#of(...PLAIN), on };
    if (draw < 72) return { call: "accept", on: this.#of(0, 0, 0, on) };
    if (draw < 76) return { call: "socket", type: this.#below(8) === 0 ? this.#type() : type };
    if (draw < 79) return { call: "bind", on, cid: this.#localCid(), port: this.#port() };
    if (draw < 82) return { call: "listen", on, backlog: this.#of(0, 0, 1, 2, 4096) };
    if (draw < 87) return this.#connect();
    if (draw < 90) return this.#getsockopt(on);
    if (draw < 95) return this.#size(on);
    return this.#setsockopt(on);
  }

  /** Those that come later than the first two are not connected yet. */
  #connect(): Call {
    const port = this.#below(2) === 0 ? 0 : this.#port();
    return { call: "connect", on: this.#below(8), cid: this.#remoteCid(), port };
  }

  #mapping(on: number): Call {
    const draw = this.#below(20);
    if (draw === 0) return this.#zerocopy(on);
    if (draw < 5) {
      const prot = this.#below(10) === 0 ? PROT_READ | PROT_WRITE : PROT_READ;
      return { call: "mmap", on, pages: this.#of(0, 1, 2, 16, 17, 64), prot };
    }
    return { call: this.#of("mapRx", "mapRx", "mapRx", "advise", "advise", "unmap"), on };
  }

  #zerocopy(on: number): Call {
    const value = this.#cut(words(BigUint64Array.of(this.#of(0n, 1n, 1n, 1n, 1n))));
    return { call: "setsockopt", on, level: AF_VSOCK, name: SO_VM_SOCKETS_ZEROCOPY, value };
  }

  #recv(on: number): Call {
    const flags = this.#of(0, 0, 0, MSG_PEEK, MSG_TRUNC, MSG_PEEK | MSG_TRUNC);
    return { call: "recv", on, length: this.#length(), flags };
  }

  #getsockopt(on: number): Call {
    const level = this.#of(AF_VSOCK, SOL_SOCKET, SOL_SOCKET, 6);
    const name = level === AF_VSOCK
      ? this.#of(...SIZES, ...TIMEOUTS, 3, 99)
      : this.#of(...INTS, ...TIMEVALS, SO_LINGER);
    return { call: "getsockopt", on, level, name, length: this.#of(0, 3, 4, 7, 8, 15, 16, 20) };
  }

  #size(on: number): Call {
    const name = this.#of(...SIZES, SO_VM_SOCKETS_BUFFER_SIZE);
    const bytes = this.#of(...BYTES, 2 ** 20, 2 ** 32 - 1, 2 ** 33);
    const value = words(BigUint64Array.of(BigInt(bytes)));
    return { call: "setsockopt", on, level: AF_VSOCK, name, value: this.#cut(value) };
  }

  #setsockopt(on: number): Call {
    const draw = this.#below(10);
    if (draw < 6) {
      const value = words(Int32Array.of(this.#of(-1, 0, 1, 2, ...BYTES, 2 ** 30)));
      const name = this.#of(...INTS);
      return { call: "setsockopt", on, level: this.#level(), name, value: this.#cut(value) };
    }
    if (draw < 8) {
      // Where l_onoff is 1 close(2) waits.
      const value = words(Int32Array.of(this.#of(0, 0, 1, 5, -1), 0));
      return {
        call: "setsockopt",
        on,
        level: SOL_SOCKET,
        name: SO_LINGER,
        value: this.#cut(value),
      };
    }
    // Whole jiffies, of which a kernel may have 100 or 250 in a second.
    const usec = this.#of(0n, 20_000n, 500_000n, 980_000n, 1_000_000n, -1n);
    const value = words(BigInt64Array.of(this.#of(0n, 1n, 2n, 7n, -1n), usec));
    const level = this.#of(AF_VSOCK, SOL_SOCKET);
    const name = level === AF_VSOCK ? this.#of(...TIMEOUTS) : this.#of(...TIMEVALS);
    return { call: "setsockopt", on, level, name, value: this.#cut(value) };
  }

  #level(): number {
    return this.#below(20) === 0 ? 6 : SOL_SOCKET;
  }

  /** Too short, now and then. */
  #cut(value: string): string {
    return this.#below(12) === 0 ? value.slice(2) : value;
  }

  #length(): number {
    return this.#of(...BYTES, this.#below(1000), this.#below(20_000));
  }

  #localCid(): number {
    return this.#of(VMADDR_CID_ANY, VMADDR_CID_ANY, VMADDR_CID_LOCAL, VMADDR_CID_LOCAL, 77, 0);
  }

  #remoteCid(): number {
    if (this.#below(10) < 6) return VMADDR_CID_LOCAL;
    return this.#of(VMADDR_CID_HOST, VMADDR_CID_ANY, 77, 0);
  }

  #port(): Port {
    const draw = this.#below(10);
    if (draw === 0) return "reserved";
    if (draw === 1) return "any";
    if (draw < 5) return { of: this.#below(6) };
    return this.#of(0, 0, 1, 2);
  }

  #type(): SocketType {
    return this.#of("stream", "stream", "seqpacket");
  }

  #of<T>(...values: readonly T[]): T {
    return values[this.#below(values.length)]!;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

/** As hexadecimal digits. */
function words(value: { readonly buffer: ArrayBuffer }): string {
  return [...new Uint8Array(value.buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}
