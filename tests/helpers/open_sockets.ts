/** How many sockets this process has open, whatever their family. */
import { readdirSync, readlinkSync } from "node:fs";

export function openSockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // that of the folder, which is read
    }
  }).length;
}
