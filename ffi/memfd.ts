/**
 * Files in memory that a mapping can trust.
 *
 * @module
 */
import { F_ADD_SEALS, F_GET_SEALS, F_SEAL_SHRINK } from "./abi/fcntl.ts";
import { MFD_ALLOW_SEALING, MFD_CLOEXEC } from "./abi/mman.ts";
import { HUGETLBFS_MAGIC } from "./abi/statfs.ts";
import { SEEK_CUR, SEEK_END, SEEK_SET } from "./abi/unistd.ts";
import { type Code, isSysError } from "./errno.ts";
import { close, fcntl, fstatfs, ftruncate, lseek } from "./file_calls.ts";
import { memfd_create } from "./mman_calls.ts";

/**
 * A memfd of `length` bytes that cannot become shorter, so that no mapping of it ever faults. The
 * caller closes it. `name` shows in `/proc/self/fd` only.
 */
export function createMemfd(name: string, length: number): number {
  const fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  try {
    ftruncate(fd, length);
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

/** What `call` gives, or `undefined` where it fails with `code`. */
function unless(code: Code, call: () => number): number | undefined {
  try {
    return call();
  } catch (error) {
    if (isSysError(error, code)) return undefined;
    throw error;
  }
}

/** The seals of `fd`, as `F_SEAL_*`; 0 for what is no memfd. */
export function sealsOf(fd: number): number {
  return unless("EINVAL", () => fcntl(fd, F_GET_SEALS)) ?? 0;
}

/**
 * Throws unless the first `length` bytes of `fd` stay as long as they are mapped: a file that
 * somebody cuts short makes a touch of its mapping a SIGBUS, and so does a hole in huge pages, of
 * which there may be no more. A socket has no length, its pages come and go by its own rules.
 */
export function requireUnshrinkable(fd: number, length: number): void {
  const current = unless("ESPIPE", () => lseek(fd, 0, SEEK_CUR));
  if (current === undefined) return;
  if ((sealsOf(fd) & F_SEAL_SHRINK) === 0) {
    throw new TypeError(
      `Cannot map fd ${fd}: must be a socket or a memfd with F_SEAL_SHRINK: ` +
        `current value is a file that can become shorter`,
    );
  }
  if (fstatfs(fd) === HUGETLBFS_MAGIC) {
    throw new TypeError(
      `Cannot map fd ${fd}: must be of ordinary pages: current value is a memfd of huge ones`,
    );
  }
  const size = lseek(fd, 0, SEEK_END);
  lseek(fd, current, SEEK_SET);
  if (length > size) {
    throw new RangeError(
      `Cannot map fd ${fd}: must end within its ${size} bytes: current value is ${length}`,
    );
  }
}
