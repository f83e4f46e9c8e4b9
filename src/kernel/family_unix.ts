/**
 * AF_UNIX; see unix(7).
 *
 * @module
 */
import { AF_UNIX } from "../../ffi/abi/socket.ts";
import { decodeSockaddrUn, encodeSockaddrUn, SOCKADDR_UN } from "../../ffi/abi/un.ts";
import type { UnixAddress } from "../address.ts";
import type { Family } from "./family.ts";

/** One will do: no call of a thread starts inside of another. */
const filled: Uint8Array<ArrayBuffer> = new Uint8Array(SOCKADDR_UN.size);

/** Unix domain sockets. */
export const UNIX: Family<UnixAddress> = {
  name: "unix",
  domain: AF_UNIX,
  cutsMessages: false,
  tellsLate: true, // unix_poll() looks at the room alone
  emptyMessages: true,
  encode: ({ path }) => encodeSockaddrUn(path),
  read: (call) => ({ path: decodeSockaddrUn(filled.subarray(0, call(filled))) }),
};
