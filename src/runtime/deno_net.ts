/**
 * Deno's `net` permission: FFI needs none, but who has denied an address has meant it.
 *
 * @module
 */
import { type Address, formatAddress } from "../address.ts";

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
 * What Deno would say to its own `Deno.connect()` to `address`, without asking anybody; `undefined`
 * in another runtime, and for a path, which is no matter of `net`.
 */
export function netPermission(address: Address): "granted" | "prompt" | "denied" | undefined {
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
