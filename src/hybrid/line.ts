/**
 * The lines of a handshake: who reads them takes nothing behind them.
 *
 * @module
 */
import { MSG_PEEK } from "../../ffi/abi/socket.ts";
import { VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import { type AnySocket, WOULD_BLOCK } from "../socket.ts";

/** The longest line of either side, its end included: twice what any needs. */
export const LINE_MAX = 32;

const NEWLINE = 0x0a;
const U32_MAX = 0xffff_ffff;
/** One will do: what is in it is taken out before the next call. */
const look: Uint8Array<ArrayBuffer> = new Uint8Array(LINE_MAX);

/** Reads one line, however many pieces it comes in, and not a byte more. */
export class LineReader {
  #line = "";

  /** What has come so far. */
  get text(): string {
    return this.#line;
  }

  /**
   * The line without its end; `undefined` while that has not come, `null` where the stream ends
   * before.
   *
   * @throws {SysError} `EPROTO` past {@linkcode LINE_MAX} bytes without an end.
   */
  read(source: Pick<AnySocket, "recv">): string | undefined | null {
    for (;;) {
      const room = LINE_MAX - this.#line.length;
      const seen = source.recv(look.subarray(0, room), MSG_PEEK);
      if (seen === WOULD_BLOCK) return undefined;
      if (seen === 0) return null;
      const end = look.subarray(0, seen).indexOf(NEWLINE);
      const taken = source.recv(look.subarray(0, end < 0 ? seen : end + 1), 0);
      if (taken <= 0) return taken === 0 ? null : undefined;
      this.#line += String.fromCharCode(...look.subarray(0, taken));
      if (this.#line.endsWith("\n")) return this.#line.slice(0, -1);
      if (this.#line.length >= LINE_MAX) throw new SysError("recv", "EPROTO");
    }
  }
}

/**
 * What a VMM says to a connection that was accepted: a port, its own or the VM's, as VMMs differ;
 * `VMADDR_PORT_ANY` where it says none. `undefined` where the line says no such thing.
 */
export function parseOk(line: string): number | undefined {
  const [, digits = ""] = /^OK(?: (\d{1,10}))?\r?$/.exec(line) ?? [undefined, "none"];
  if (digits === "") return VMADDR_PORT_ANY;
  const port = Number(digits);
  return port <= U32_MAX ? port : undefined;
}

/** The port that a host asks a VMM for; `undefined` where the line asks for none. */
export function parseConnect(line: string): number | undefined {
  const port = Number(/^connect (\d{1,10})$/i.exec(line)?.[1]);
  return port <= U32_MAX ? port : undefined;
}
