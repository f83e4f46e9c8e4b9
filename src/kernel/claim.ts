/**
 * Paths of AF_UNIX that a socket is bound to, and that go when it goes.
 *
 * @module
 */
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from "../../ffi/abi/socket.ts";
import { encodeSockaddrUn } from "../../ffi/abi/un.ts";
import { isNotCapable } from "../../ffi/backend.ts";
import { isSysError, SysError } from "../../ffi/errno.ts";
import { close, connect, socket } from "../../ffi/libc.ts";
import { fs, process } from "../runtime/builtins.ts";

/** A path that a socket is bound to. */
export interface Claim {
  /** Unlinks the path, unless somebody else has it by now. The second call does nothing. */
  release(): void;
}

const NOTHING: Claim = { release(): void {} };

/**
 * bind(2) of a socket to `path`, by `bind`. A socket there that nobody has open any more gives way;
 * nothing else does. With `mode`, only who has it may connect then.
 *
 * @throws {SysError} `EADDRINUSE` where the path is taken, `EACCES` where a dead socket is in the
 * way and this user may not write to its folder.
 */
export function claimPath(path: string, bind: () => void, mode?: number): Claim {
  if (path.startsWith("\0")) {
    bind();
    return NOTHING;
  }
  const place = locate(path);
  if (mode !== undefined) requirePermission(path);
  try {
    bind();
  } catch (error) {
    if (!isSysError(error, "EADDRINUSE") || !clearDead(path)) throw error;
    bind();
  }
  const claim = holdPath(place);
  try {
    // In time: before listen(2) nobody can connect.
    if (mode !== undefined) fs().chmodSync(path, mode);
    return claim;
  } catch (error) {
    claim.release();
    throw error;
  }
}

/**
 * Where `path` is, however the working directory changes. It looks there as well: what the
 * runtime does not permit has to fail before the bind. What the kernel refuses, bind(2) will tell.
 */
function locate(path: string): string {
  try {
    identify(path);
    return path.startsWith("/") ? path : `${process().cwd()}/${path}`;
  } catch (error) {
    if (isNotCapable(error)) throw error;
    return path;
  }
}

/**
 * Throws where the runtime does not permit to write to `path`, as chmod(2) would once it is bound:
 * what is renamed to its own name stays as it is.
 */
function requirePermission(path: string): void {
  try {
    fs().renameSync(path, path);
  } catch (error) {
    if (isNotCapable(error)) throw error;
  }
}

/** The claim of whoever has just bound a socket to `path`. */
function holdPath(path: string): Claim {
  let mine = identify(path);
  return {
    release(): void {
      if (mine === undefined) return;
      try {
        if (identify(path) === mine) fs().unlinkSync(path);
      } catch {
        // It is gone, or its folder is: closing goes on.
      }
      mine = undefined;
    },
  };
}

/**
 * What tells the file at `path` from any other, one that has its inode's number later, too;
 * `undefined` where there is no socket. Not every file system knows when a file was made.
 */
function identify(path: string): string | undefined {
  const stat = fs().lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (!stat?.isSocket()) return undefined;
  return `${stat.dev}:${stat.ino}:${stat.birthtimeNs || stat.mtimeNs}`;
}

/** Takes a dead socket out of the way: whether `path` is free to bind. */
function clearDead(path: string): boolean {
  const found = identify(path);
  if (found === undefined || !isDead(path)) return false;
  // Somebody else may do the same: what is unlinked must be what was found dead.
  const aside = `${path}.${crypto.randomUUID()}.dead`;
  ignoreMissing(() => fs().renameSync(path, aside));
  if (identify(aside) !== found) ignoreMissing(() => fs().linkSync(aside, path));
  ignoreMissing(() => fs().unlinkSync(aside));
  return true;
}

/** Whether nobody has the socket at `path` open, asked in a way that a listener does not notice. */
function isDead(path: string): boolean {
  const probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
  try {
    connect(probe, encodeSockaddrUn(path));
    return false;
  } catch (error) {
    // EPROTOTYPE where it lives: it is no SOCK_DGRAM.
    return isSysError(error, "ECONNREFUSED");
  } finally {
    close(probe);
  }
}

/** Calls `node:fs`: who may not change that folder may not bind(2) there. */
function ignoreMissing(call: () => void): void {
  try {
    call();
  } catch (error) {
    const { code, errno } = error as { readonly code?: unknown; readonly errno?: number };
    if (code === "ENOENT" || code === "EEXIST") return;
    throw errno === undefined ? error : new SysError("bind", -errno);
  }
}
