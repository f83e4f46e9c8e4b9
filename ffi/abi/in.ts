/**
 * `<netinet/in.h>`: addresses of AF_INET and AF_INET6. Ports and addresses are in network order.
 *
 * @module
 */
import { requireBytes, requireUint } from "../arguments.ts";
import { type Layout, layout } from "../layout.ts";
import { AF_INET, AF_INET6 } from "./socket.ts";

/** The level of TCP options. */
export const IPPROTO_TCP = 6;
/** The level of IPv4 options. */
export const IPPROTO_IP = 0;
/** The level of IPv6 options. */
export const IPPROTO_IPV6 = 41;
/** Control message at `IPPROTO_IP`: a record of the error queue. */
export const IP_RECVERR = 11;
/** Control message at `IPPROTO_IPV6`: a record of the error queue. */
export const IPV6_RECVERR = 25;
/** 127.0.0.1. */
export const INADDR_LOOPBACK = 0x7f000001;
const PORT_MAX = 0xffff;

/** `struct sockaddr_in`. */
export const SOCKADDR_IN: Layout<"sin_family" | "sin_port" | "sin_addr" | "sin_zero"> = layout(
  "struct sockaddr_in",
  "netinet/in.h",
  {
    sin_family: "u16",
    sin_port: "u16", // network order
    sin_addr: "u32", // network order
    sin_zero: ["u8", 8],
  },
);

/** `struct sockaddr_in6`. */
export const SOCKADDR_IN6: Layout<
  "sin6_family" | "sin6_port" | "sin6_flowinfo" | "sin6_addr" | "sin6_scope_id"
> = layout("struct sockaddr_in6", "netinet/in.h", {
  sin6_family: "u16",
  sin6_port: "u16", // network order
  sin6_flowinfo: "u32", // network order
  sin6_addr: ["u8", 16],
  sin6_scope_id: "u32", // host order
});

/** A `struct sockaddr_in` over its own 16 bytes. */
export class SockaddrIn {
  /** The struct itself, to hand to libc. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(SOCKADDR_IN.size);
  readonly #view: DataView = new DataView(this.bytes.buffer);
  /**
   * `address` as an unsigned 32-bit number such as `INADDR_LOOPBACK`; `port` 0 to 65535. Throws a
   * RangeError for what they cannot be.
   */
  constructor(address: number, port: number) {
    requireUint("address", address);
    requireUint("port", port, PORT_MAX);
    this.#view.setUint16(SOCKADDR_IN.at.sin_family, AF_INET, true);
    this.#view.setUint16(SOCKADDR_IN.at.sin_port, port, false);
    this.#view.setUint32(SOCKADDR_IN.at.sin_addr, address, false);
  }
  /** IPv4 address, unsigned 32-bit. */
  get address(): number {
    return this.#view.getUint32(SOCKADDR_IN.at.sin_addr, false);
  }
  /** Port. */
  get port(): number {
    return this.#view.getUint16(SOCKADDR_IN.at.sin_port, false);
  }
}

/** A `struct sockaddr_in6` over its own 28 bytes. */
export class SockaddrIn6 {
  /** The struct itself, to hand to libc. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(SOCKADDR_IN6.size);
  readonly #view: DataView = new DataView(this.bytes.buffer);
  /**
   * `address` is 16 bytes in network order; `port` 0 to 65535; `scopeId` an interface or 0. Throws
   * a RangeError for what they cannot be, a TypeError where `address` is no bytes.
   */
  constructor(address: Uint8Array, port: number, scopeId = 0) {
    const length = requireBytes("address", address);
    if (length !== 16) {
      throw new RangeError(
        `Cannot use address: must be 16 bytes: current value is ${length} bytes`,
      );
    }
    requireUint("port", port, PORT_MAX);
    requireUint("scopeId", scopeId);
    this.#view.setUint16(SOCKADDR_IN6.at.sin6_family, AF_INET6, true);
    this.#view.setUint16(SOCKADDR_IN6.at.sin6_port, port, false);
    this.bytes.set(address, SOCKADDR_IN6.at.sin6_addr);
    this.#view.setUint32(SOCKADDR_IN6.at.sin6_scope_id, scopeId, true);
  }
  /** IPv6 address: 16 bytes in network order, live. */
  get address(): Uint8Array<ArrayBuffer> {
    const { sin6_addr } = SOCKADDR_IN6.at;
    return this.bytes.subarray(sin6_addr, sin6_addr + 16);
  }
  /** Index of the interface that a link-local address is of; 0 for none. */
  get scopeId(): number {
    return this.#view.getUint32(SOCKADDR_IN6.at.sin6_scope_id, true);
  }
  /** Port. */
  get port(): number {
    return this.#view.getUint16(SOCKADDR_IN6.at.sin6_port, false);
  }
}
