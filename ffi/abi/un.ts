/**
 * `<sys/un.h>`: addresses of AF_UNIX; see unix(7).
 *
 * @module
 */
import { requireText } from "../arguments.ts";
import { type Layout, layout } from "../layout.ts";
import { AF_UNIX } from "./socket.ts";

/** `struct sockaddr_un`. */
export const SOCKADDR_UN: Layout<"sun_family" | "sun_path"> = layout(
  "struct sockaddr_un",
  "sys/un.h",
  {
    sun_family: "u16",
    sun_path: ["u8", 108], // with a final 0, or an abstract name behind a first 0
  },
);
const { at, size } = SOCKADDR_UN;

/**
 * A `struct sockaddr_un` for `path`, cut to the length to hand to bind(2) or connect(2). A path
 * that starts with `"\0"` is an abstract name. Throws a RangeError past 107 bytes.
 */
export function encodeSockaddrUn(path: string): Uint8Array<ArrayBuffer> {
  requireText("path", path);
  const name = new TextEncoder().encode(path);
  const room = size - at.sun_path - 1;
  if (name.length > room) {
    throw new RangeError(
      `Cannot use path: must be at most ${room} bytes: current value is ${name.length} bytes`,
    );
  }
  const abstract = path.startsWith("\0");
  const bytes = new Uint8Array(at.sun_path + name.length + (abstract ? 0 : 1));
  new DataView(bytes.buffer).setUint16(at.sun_family, AF_UNIX, true);
  bytes.set(name, at.sun_path);
  return bytes;
}

/** A path may begin with U+FEFF, which is no mark of byte order there. */
const decoder: TextDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The path in `bytes`, a `struct sockaddr_un` cut to its length; empty for a socket without one.
 */
export function decodeSockaddrUn(bytes: Uint8Array): string {
  const name = bytes.subarray(at.sun_path);
  const abstract = name[0] === 0;
  const end = abstract ? name.length : name.indexOf(0);
  return decoder.decode(end < 0 ? name : name.subarray(0, end));
}
