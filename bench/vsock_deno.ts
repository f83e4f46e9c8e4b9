/**
 * AF_VSOCK by Deno's own `Deno.connect`.
 *
 * @module
 */
import type { End } from "./turns.ts";

interface Conn extends End {
  write(data: Uint8Array): Promise<number>;
  close(): void;
}

interface Address {
  readonly transport: "vsock";
  readonly cid: number;
  readonly port: number;
}

interface Net {
  listen(address: Address): { accept(): Promise<Conn>; close(): void };
  connect(address: Address): Promise<Conn>;
}

/** Whether this runtime has it: Deno, with vsock among the features of its version. */
export function hasDenoVsock(): boolean {
  return "Deno" in globalThis;
}

/** Both ends in this event loop. The caller closes them. */
export async function denoVsockPair(
  cid: number,
  port: number,
): Promise<{ near: Conn; far: Conn }> {
  const { Deno: net } = globalThis as unknown as { Deno: Net };
  const address: Address = { transport: "vsock", cid, port };
  const listener = net.listen(address);
  try {
    const [near, far] = await Promise.all([net.connect(address), listener.accept()]);
    return { near, far };
  } finally {
    listener.close();
  }
}
