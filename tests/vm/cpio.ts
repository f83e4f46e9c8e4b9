/**
 * The archive that Linux unpacks as its first root.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/**
 * A cpio archive of the "newc" kind, uncompressed.
 *
 * @param files Path to content; each is executable. The folders are those that the paths name.
 */
export function cpio(files: ReadonlyMap<string, Uint8Array>): Buffer {
  const folders = new Set<string>();
  for (const path of files.keys()) {
    const parts = path.split("/").slice(0, -1);
    parts.forEach((_, index) => folders.add(parts.slice(0, index + 1).join("/")));
  }
  const nothing = new Uint8Array();
  return Buffer.concat([
    ...Array.from(folders).sort().map((path) => entry(path, S_IFDIR | 0o755, nothing)),
    ...Array.from(files, ([path, data]) => entry(path, S_IFREG | 0o755, data)),
    entry("TRAILER!!!", 0, nothing),
  ]);
}

/** A header of 6 + 13 * 8 characters and the name, then the data; either is padded to 4 bytes. */
function entry(path: string, mode: number, data: Uint8Array): Buffer {
  const name = Buffer.from(`${path}\0`);
  // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor,
  // namesize, check
  const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const digits = fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  return Buffer.concat([padded(Buffer.from(`070701${digits}${name}`)), padded(data)]);
}

function padded(data: Uint8Array): Buffer {
  return Buffer.concat([data], Math.ceil(data.length / 4) * 4);
}
