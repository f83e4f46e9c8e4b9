/**
 * In which cases a guest of the device does not do as one kernel with itself, by why.
 *
 * @module
 */
import { BLOCKED } from "./booted.ts";

const BY_REASON: Readonly<Record<string, readonly string[]>> = {
  "what a guest lends is over when the device has copied it, whatever the peer has read": [
    "zeroCopy.send() is over when the peer has read it (pair)",
    "zeroCopy.send() is over when the peer has read it (pairBack)",
    "Conn.write() with zeroCopy hands back nothing early at an abort",
    "close() hands back nothing early, and the peer gets all that was taken",
  ],
  "a packet is cut where a receive buffer of the guest ends, which has room for 3732 bytes": [
    "setsockopt(ZEROCOPY) works on a listener, and accept() hands it on",
    "mapRx() lays out packets of 56, 4096 and 8200 bytes as the cover letter does",
    "mapRx() takes 1 page for 1 byte and 16 pages for 65536",
    "mapRx() with a mapping of 2 pages gives a page at a time",
    "mapRx() continues a packet that is larger than the room in the next batch",
    "mapRx() gives EOM and EOR of a continued message with its last piece only",
    "mapRx() copies what is left of a partly read packet to a fresh page, drops nothing",
    "mapRx() after a whole page was read goes on at the next one",
    "recv() goes on where mapRx() stopped inside a packet",
    "recv() while pages are mapped goes on behind them and leaves them alone",
    "advise() kills the views lent before",
    "close() of the socket leaves pages that are mapped readable until unmap()",
    "mapRx() in the middle of a message leaves the rest of it a message",
  ],
};

/** Why, by the name of the case. */
export const GUEST_DIFFERENCES: ReadonlyMap<string, string> = new Map([
  ...BLOCKED,
  ...Object.entries(BY_REASON).flatMap(([why, names]) => names.map((name) => [name, why] as const)),
]);
