/**
 * What `vsockit perf` does about TCP.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import { openTcp } from "../../kernel/tcp_unix.ts";
import { SocketOptions } from "../../options.ts";
import { hasName, resolveName } from "../../resolve.ts";
import type { Socket } from "../../socket.ts";
import type { Mode, Plan } from "./plan.ts";

/** Where both ends are, where they are in one process. */
export const LOCAL_HOST = "127.0.0.1";
/** Where an end listens. */
export const ANY_HOST = "0.0.0.0";
/** A page and the timestamp option: each segment is one page then, which can be mapped. */
export const PAGE_SEGMENT: number = 4096 + 12;

/** Segments of the wished size, and socket buffers where those were asked for. */
export function prepareTcp(socket: Socket<Address>, { creditBytes, maxSegment = 0 }: Plan): void {
  const options = new SocketOptions(socket);
  options.reuseAddress = true;
  if (maxSegment > 0) options.maxSegment = maxSegment;
  if (creditBytes > 0) options.receiveBufferSize = options.sendBufferSize = creditBytes;
}

/** The first address of a machine. */
export async function resolveHost(hostname: string): Promise<string> {
  const address = { hostname, port: 0 };
  if (!hasName(address)) return hostname;
  const found = await resolveName(address);
  return (found.find((hostname) => hostname.includes(".")) ?? found[0])!;
}

/** Why TCP cannot receive in `mode`; `undefined` where it can. */
export function whyNotTcp(mode: Mode): string | undefined {
  if (mode === "user-poll") return "the kernel writes no poll_value for TCP: use -z y";
  if (mode === "copy" || openTcp(LOCAL_HOST).capabilities.mapRx) return undefined;
  return "this kernel does not map TCP sockets: use -z n";
}
