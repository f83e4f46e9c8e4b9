/**
 * Whether a proxy would connect to itself.
 *
 * @module
 */
import { normalize } from "node:path";
import { AF_INET, AF_INET6 } from "../../../ffi/abi/socket.ts";
import { VMADDR_CID_ANY, VMADDR_CID_LOCAL } from "../../../ffi/abi/vm_sockets.ts";
import { inet_pton } from "../../../ffi/libc.ts";
import type { Address } from "../../address.ts";
import { stringifyAddress } from "../../address_text.ts";
import { ipVersion } from "../../resolve.ts";
import { pathFor } from "../args/addresses.ts";

/** What `ipKey()` gives for 0.0.0.0 and 127.0.0.1, and for :: and ::1. */
const [ANY, LOCAL] = ["0.0.0.0", "127.0.0.1"] as const;
const [ANY6, LOCAL6] = [`${"0.".repeat(15)}0`, `${"0.".repeat(15)}1`] as const;
const LOCALHOST: readonly string[] = ["127.0.0.1", "::1"];

/**
 * Whether who connects to `target` comes to who listens on `listen`, as far as that can be told
 * from how they are written: no name is looked up but `localhost`, and no link followed.
 */
export function leadsBack(listen: Address, target: Address): boolean {
  if ("path" in listen) {
    return "path" in target && placeOf("listen", listen) === placeOf("connect", target);
  }
  if ("path" in target || listen.port !== target.port) return false;
  if ("hostname" in listen) return "hostname" in target && isHere(listen.hostname, target.hostname);
  if (stringifyAddress(listen) === stringifyAddress(target)) return true;
  return listen.cid === VMADDR_CID_ANY && "cid" in target && target.cid === VMADDR_CID_LOCAL;
}

function placeOf(use: "listen" | "connect", address: Extract<Address, { path: string }>): string {
  const path = pathFor(use, address);
  return path.startsWith("\0") ? path : normalize(path);
}

function isHere(listen: string, target: string): boolean {
  const here = ipKey(listen);
  const hostnames = /^localhost\.?$/i.test(target) ? LOCALHOST : [target];
  return hostnames.filter((hostname) => ipVersion(hostname) !== 0).map(reached).some((there) => {
    if (here === there) return true;
    const local4 = there.startsWith("127.");
    return here === ANY && local4 || here === ANY6 && (local4 || there === LOCAL6);
  });
}

/** `ipKey()` of where a connect to `hostname` comes: to any address is to this machine. */
function reached(hostname: string): string {
  const key = ipKey(hostname);
  return key === ANY ? LOCAL : key === ANY6 ? LOCAL6 : key;
}

/** Whether everybody who reaches this machine reaches `ip`, of whatever scope. */
export function isUnspecified(ip: string): boolean {
  const [key = ""] = ipKey(ip).split("%");
  return key === ANY || key === ANY6;
}

/** The bytes of an IP address, and its scope, as text; of IPv4 in IPv6, those of IPv4. */
function ipKey(hostname: string): string {
  const [ip = "", scope] = hostname.split("%");
  const bytes = inet_pton(ip.includes(":") ? AF_INET6 : AF_INET, ip);
  const mapped = bytes.length > 4 && bytes.slice(0, 12).join() === "0,0,0,0,0,0,0,0,0,0,255,255";
  const key = (mapped ? bytes.slice(12) : bytes).join(".");
  return scope === undefined ? key : `${key}%${scope}`;
}
