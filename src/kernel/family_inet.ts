/**
 * TCP over AF_INET and AF_INET6; see tcp(7), ip(7), ipv6(7).
 *
 * @module
 */
import { IPPROTO_TCP, SockaddrIn, SockaddrIn6 } from "../../ffi/abi/in.ts";
import { AF_INET, AF_INET6 } from "../../ffi/abi/socket.ts";
import { TCP_USER_TIMEOUT } from "../../ffi/abi/tcp.ts";
import { if_nametoindex, inet_ntop, inet_pton, setsockopt } from "../../ffi/libc.ts";
import type { TcpAddress } from "../address.ts";
import { requireU32 } from "../arguments.ts";
import type { Family } from "./family.ts";

/** One of each will do: no call of a thread starts inside of another. */
const filled4: SockaddrIn = new SockaddrIn(0, 0);
const filled6: SockaddrIn6 = new SockaddrIn6(new Uint8Array(16), 0);

/** All that is asked for counts against RLIMIT_MEMLOCK, whatever there is room for. */
const ZERO_COPY = { mostBytes: 512 * 1024, copiesParts: false };

const ABANDON_MS = 100_000;

/** TCP over IPv4. */
export const INET: Family<TcpAddress> = {
  name: "tcp",
  domain: AF_INET,
  cutsMessages: false,
  zeroCopy: ZERO_COPY,
  abandon,
  encode({ hostname, port }): Uint8Array<ArrayBuffer> {
    const address = new DataView(inet_pton(AF_INET, hostname).buffer).getUint32(0);
    return new SockaddrIn(address, port).bytes;
  },
  read(call): TcpAddress {
    call(filled4.bytes);
    const { address, port } = filled4;
    const hostname = [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
    return { hostname, port };
  },
};

/** TCP over IPv6; a scope is written behind the address: `fe80::1%eth0` or `fe80::1%2`. */
export const INET6: Family<TcpAddress> = {
  name: "tcp",
  domain: AF_INET6,
  cutsMessages: false,
  zeroCopy: ZERO_COPY,
  abandon,
  encode({ hostname, port }): Uint8Array<ArrayBuffer> {
    const [text = "", scope] = hostname.split("%");
    return new SockaddrIn6(inet_pton(AF_INET6, text), port, scopeId(scope)).bytes;
  },
  read(call): TcpAddress {
    call(filled6.bytes);
    const { address, port, scopeId } = filled6;
    const text = inet_ntop(AF_INET6, address);
    return { hostname: scopeId === 0 ? text : `${text}%${scopeId}`, port };
  },
};

/** As long as Linux tries on after close(2), which here has to wait. */
function abandon(fd: number): void {
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, Int32Array.of(ABANDON_MS));
}

function scopeId(scope: string | undefined): number {
  if (scope === undefined) return 0;
  if (!/^\d+$/.test(scope)) return if_nametoindex(scope);
  requireU32("scope", Number(scope));
  return Number(scope);
}
