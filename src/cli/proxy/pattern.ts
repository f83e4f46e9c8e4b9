/**
 * Patterns of addresses: who may use a proxy, and where it may go.
 *
 * @module
 */
import { BlockList, isIP } from "node:net";
import type { Address } from "../../address.ts";
import { parseAddress } from "../../address_text.ts";
import { wrongValue } from "../args/values.ts";

/** Whether an address is one of those that a pattern is of. */
export type Pattern = (address: Address) => boolean;

const FORMS =
  "vsock:CID[:PORT], tcp:IP[/BITS][:PORT] with IPv6 in brackets, unix:PATH or hvsock:PATH";

const FAMILIES: ReadonlyMap<string, (text: string) => Pattern | undefined> = new Map([
  ["vsock", vsockPattern],
  ["tcp", tcpPattern],
  ["unix", (text) => pathPattern(text, false)],
  ["hvsock", (text) => pathPattern(text, true)],
]);

/**
 * The pattern that `text` stands for; `*` is any CID, IP or port, or path.
 *
 * @throws {UsageError} If it stands for none.
 */
export function parsePattern(flag: string, text: string): Pattern {
  const [, family = "", rest = ""] = /^([a-z]+):(.+)$/s.exec(text) ?? [];
  const pattern = FAMILIES.get(family)?.(rest);
  if (pattern !== undefined) return pattern;
  throw wrongValue(flag, `be ${FORMS}`, text);
}

function vsockPattern(text: string): Pattern | undefined {
  const [, cidText = "", portText = "*"] = /^([^:]+)(?::([^:]+))?$/.exec(text) ?? [];
  const cid = cidText === "*" ? undefined : numberOf(() => parseAddress(`${cidText}:0`), "cid");
  const port = portText === "*" ? undefined : numberOf(() => parseAddress(`0:${portText}`), "port");
  if (cidText === "" || Number.isNaN(cid) || Number.isNaN(port)) return undefined;
  return (address) =>
    "cid" in address && (cid ?? address.cid) === address.cid &&
    (port ?? address.port) === address.port;
}

/** A number of the address that `parse` gives; NaN where it gives none. */
function numberOf(parse: () => { readonly address: Address }, key: "cid" | "port"): number {
  try {
    const { address } = parse();
    return "cid" in address ? address[key] : NaN;
  } catch {
    return NaN;
  }
}

function tcpPattern(text: string): Pattern | undefined {
  const shape = /^(?:\[([^\]]+)\]|([^:[\]/]+))(?:\/(\d{1,3}))?(?::(\d{1,5}|\*))?$/;
  const [, v6, v4, bitsText, portText = "*"] = shape.exec(text) ?? [];
  const ip = v6 ?? v4;
  if (ip === undefined || Number(portText) > 65_535) return undefined;
  const port = portText === "*" ? undefined : Number(portText);
  const matches = ip === "*" && bitsText === undefined ? () => true : subnet(ip, bitsText);
  if (matches === undefined) return undefined;
  return (address) =>
    "hostname" in address && (port ?? address.port) === address.port && matches(address.hostname);
}

/** Whether an IP is in the subnet; an IPv4 address that IPv6 carries counts as itself. */
function subnet(ip: string, bitsText: string | undefined): ((ip: string) => boolean) | undefined {
  const family = isIP(ip);
  const most = family === 4 ? 32 : 128;
  const bits = bitsText === undefined ? most : Number(bitsText);
  if (family === 0 || bits > most) return undefined;
  const list = new BlockList();
  list.addSubnet(ip, bits, family === 4 ? "ipv4" : "ipv6");
  return (hostname) => {
    const plain = hostname.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
    return isIP(plain) === family && list.check(plain, family === 4 ? "ipv4" : "ipv6");
  };
}

function pathPattern(text: string, hybrid: boolean): Pattern {
  const path = text.startsWith("@") ? `\0${text.slice(1)}` : text;
  return (address) =>
    "path" in address && "port" in address === hybrid && (text === "*" || address.path === path);
}
