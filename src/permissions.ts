/**
 * What a program may connect to and listen on, narrower than what FFI lets it do.
 *
 * @module
 */
import { type Address, formatAddress, toAddr } from "./address.ts";
import { type Op, VsockError } from "./error.ts";
import { shown } from "./shown.ts";

/**
 * Addresses that are allowed. Each pattern is an address as messages show it: `2:1024`,
 * `127.0.0.1:80`, `[::1]:80`, `/run/app.sock`, `@name` of an abstract one, `/run/fc.sock:1024`; `*`
 * stands for anything, `4294967295` for any CID or port to listen on. Behind `vsock:`, `tcp:`,
 * `unix:` or `hvsock:` it is of that family alone: `vsock:2:1024`. `"net"`: what Deno was started
 * with `--allow-net` for, such as `--allow-net=vsock:2:1024`; elsewhere than in Deno that is
 * nothing.
 */
export type Permissions = readonly string[] | "net";

/** Where a pattern says its family, as the text of an address does. */
const SCHEMED = /^(vsock|tcp|unix|hvsock):(?:\/\/)?(.*)$/s;

/** Those of {@linkcode restrict}, each of which must allow. */
const restrictions: Permissions[] = [];

/** Throws a TypeError unless `permissions` are some. */
function requirePermissions(permissions: Permissions): void {
  if (permissions === "net") return;
  if (Array.isArray(permissions) && permissions.every((pattern) => typeof pattern === "string")) {
    return;
  }
  throw new TypeError(
    'Cannot use permissions: must be "net" or a list of strings: ' +
      `current value is ${shown(permissions)}`,
  );
}

/**
 * Allows only these addresses to every `connect()` and `listen()` of this thread from now on, and
 * never more: each further call narrows that. What is open already stays open, and sockets made
 * by a `Transport` or by the `ffi` entry point are not looked at: it guards against mistakes and
 * hostile addresses, not against hostile code of the same process.
 *
 * @throws {TypeError} If they are no permissions.
 *
 * @example Only the host, and only one port of it
 * ```ts ignore
 * import { connect, restrict } from "@vsockit/vsockit";
 *
 * restrict(["2:1024"]);
 * await connect({ cid: 2, port: 22 }); // VsockError: EACCES
 * ```
 */
export function restrict(permissions: Permissions): void {
  requirePermissions(permissions);
  restrictions.push(permissions === "net" ? permissions : [...permissions]);
}

/**
 * Throws unless `address` may be used: by all that {@linkcode restrict} was given, by `own`, and by
 * Deno, where that was told to deny it.
 *
 * @throws {TypeError} If `own` is no permissions.
 * @throws {VsockError} `EACCES`; the hint says what refused.
 */
export function permit(op: Op, address: Address, own: Permissions | undefined): void {
  if (own !== undefined) requirePermissions(own);
  const net = netPermission(address);
  if (net === "denied") throw refusal(op, address, "Deno was started with --deny-net for it");
  for (const permissions of own === undefined ? restrictions : [...restrictions, own]) {
    if (permissions === "net") {
      if (net === "granted") continue;
      throw refusal(op, address, 'permissions are "net", and no --allow-net is for it');
    }
    if (permissions.some((pattern) => allows(pattern, address))) continue;
    throw refusal(op, address, `permissions are ${permissions.join(", ") || "none at all"}`);
  }
}

/** The members of Deno in use. */
interface Host {
  readonly Deno?: {
    readonly permissions: {
      querySync(descriptor: { readonly name: "net"; readonly host?: string }): {
        readonly state: "granted" | "prompt" | "denied";
      };
    };
  };
}

/**
 * What Deno would say to its own `Deno.connect()` to `address`, without asking anybody: FFI needs
 * no `net` permission, but who has denied an address has meant it. `undefined` in another runtime,
 * and for a path, which is no matter of `net`.
 */
function netPermission(address: Address): "granted" | "prompt" | "denied" | undefined {
  const { Deno } = globalThis as Host;
  if (Deno === undefined || "path" in address) return undefined;
  const text = formatAddress(address);
  const host = "cid" in address ? `vsock:${text}` : text;
  try {
    return Deno.permissions.querySync({ name: "net", host }).state;
  } catch {
    return "prompt"; // no flag can name it, such as an address with a scope
  }
}

function refusal(op: Op, address: Address, hint: string): VsockError {
  return new VsockError(op, "EACCES", { address, hint });
}

/** Whether `address` is what `pattern` says, in its family where it says one. */
function allows(pattern: string, address: Address): boolean {
  const [, scheme, rest = pattern] = SCHEMED.exec(pattern) ?? [];
  return (scheme === undefined || scheme === schemeOf(address)) &&
    matches(rest, formatAddress(address));
}

function schemeOf(address: Address): string {
  const { transport } = toAddr(address);
  return transport === "hybrid" ? "hvsock" : transport;
}

/** Whether `text` is what `pattern` says, with `*` for any run of characters. */
function matches(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return pattern === text;
  const last = rest.pop()!;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length >= at + last.length && text.endsWith(last);
}
