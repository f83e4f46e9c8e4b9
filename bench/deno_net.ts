/**
 * Connections by Deno's own `Deno.connect`, over TCP or AF_VSOCK.
 *
 * @module
 */

/** Where to listen, and to connect to. */
export type DenoAddress =
  | { readonly hostname: string; readonly port: number }
  | { readonly transport: "vsock"; readonly cid: number; readonly port: number };

/** One end. */
export interface DenoConn {
  read(p: Uint8Array): Promise<number | null>;
  write(p: Uint8Array): Promise<number>;
  close(): void;
  setNoDelay(on: boolean): void;
}

/** What is used of Deno. */
interface DenoNet {
  listen(address: DenoAddress): {
    readonly addr: { readonly port: number };
    accept(): Promise<DenoConn>;
    close(): void;
  };
  connect(address: DenoAddress): Promise<DenoConn>;
}

/** Deno's own sockets. */
export function denoNet(): DenoNet {
  return (globalThis as unknown as { readonly Deno: DenoNet }).Deno;
}

/** Both ends in this event loop. The caller closes them. */
export async function denoPair(
  address: DenoAddress,
): Promise<{ near: DenoConn; far: DenoConn }> {
  const net = denoNet();
  const listener = net.listen(address);
  try {
    const { port } = listener.addr;
    const [near, far] = await Promise.all([
      net.connect({ ...address, port }),
      listener.accept(),
    ]);
    return { near, far };
  } finally {
    listener.close();
  }
}
