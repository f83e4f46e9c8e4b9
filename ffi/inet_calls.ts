/**
 * Addresses as text: what `<arpa/inet.h>` and `<net/if.h>` declare.
 *
 * @module
 */
import { AF_INET } from "./abi/socket.ts";
import { cString } from "./arguments.ts";
import { SysError } from "./errno.ts";
import { library } from "./select.ts";

/** `INET6_ADDRSTRLEN` of `<netinet/in.h>`. */
const INET6_ADDRSTRLEN = 46;
const decoder: TextDecoder = new TextDecoder();

/**
 * Wraps inet_pton(3): the bytes of an address in network order, 4 of `AF_INET`, 16 of `AF_INET6`.
 *
 * @throws {RangeError} If `text` is no address of that family.
 */
export function inet_pton(domain: number, text: string): Uint8Array<ArrayBuffer> {
  const { calls } = library();
  const address = new Uint8Array(16);
  const found = calls.inet_pton(domain, cString("hostname", text), address);
  if (found === 1) return address.subarray(0, domain === AF_INET ? 4 : 16);
  throw new RangeError(
    `Cannot use hostname: must be an IP address: current value is ${JSON.stringify(text)}`,
  );
}

/** Wraps inet_ntop(3): the text of an address in network order. */
export function inet_ntop(domain: number, address: Uint8Array): string {
  const { calls, errno } = library();
  const text = new Uint8Array(INET6_ADDRSTRLEN);
  if (Number(calls.inet_ntop(domain, address, text, text.length)) === 0) {
    throw new SysError("inet_ntop", errno());
  }
  return decoder.decode(text.subarray(0, text.indexOf(0)));
}

/**
 * Wraps if_nametoindex(3): the number of a network interface.
 *
 * @throws {SysError} `ENODEV` where there is none of this name.
 */
export function if_nametoindex(name: string): number {
  const { calls, errno } = library();
  const index = calls.if_nametoindex(cString("name", name));
  if (index === 0) throw new SysError("if_nametoindex", errno());
  return index;
}
