/**
 * Calls on memory: what `<sys/mman.h>` declares. They take addresses as they are, so a wrong one
 * ends the process; `MappedRegion` is the safe way.
 *
 * On failure each call throws a `SysError`, with what its man page lists under ERRORS.
 *
 * @module
 */
import type { Wide } from "./backend.ts";
import { cString, requireInt, requireSize, requireUint } from "./arguments.ts";
import { retry } from "./call.ts";
import { library } from "./select.ts";

const MAP_FAILED = -1;

/**
 * An address as a number. Linux gives none past 2^47 (x86-64) or 2^48 (arm64) unless it is asked
 * for by hint, so one that a number cannot hold means that something is wrong.
 */
function toAddress(address: Wide): number {
  const value = Number(address);
  if (value !== MAP_FAILED) requireSize("address", value);
  return value;
}

/**
 * Wraps mmap(2): the address of `length` bytes. `prot` is `PROT_*`, `flags` is `MAP_*`, `fd` is -1
 * and `offset` 0 for `MAP_ANONYMOUS`. The caller unmaps it.
 */
export function mmap(
  address: number,
  length: number,
  prot: number,
  flags: number,
  fd: number,
  offset: number,
): number {
  requireInt("prot", prot);
  requireInt("flags", flags);
  requireInt("fd", fd);
  requireSize("address", address);
  requireSize("length", length);
  requireSize("offset", offset);
  const { calls, wide } = library();
  const [addr, size, start] = [wide(address), wide(length), wide(offset)];
  let mapped: number;
  do mapped = toAddress(calls.mmap(addr, size, prot, flags, fd, start)); while (
    mapped === MAP_FAILED && retry("mmap")
  );
  return mapped;
}

/** Wraps mremap(2) without a new address: where the mapping is now. */
export function mremap(address: number, length: number, newLength: number, flags: number): number {
  requireInt("flags", flags);
  requireSize("address", address);
  requireSize("length", length);
  requireSize("newLength", newLength);
  const { calls, wide } = library();
  const [addr, size, newSize] = [wide(address), wide(length), wide(newLength)];
  let mapped: number;
  do mapped = toAddress(calls.mremap(addr, size, newSize, flags)); while (
    mapped === MAP_FAILED && retry("mremap")
  );
  return mapped;
}

/** Wraps munmap(2). */
export function munmap(address: number, length: number): void {
  requireSize("address", address);
  requireSize("length", length);
  const { calls, wide } = library();
  while (calls.munmap(wide(address), wide(length)) === -1 && retry("munmap"));
}

/**
 * Wraps mprotect(2): `prot` is `PROT_*`. What does not begin on a page is `EINVAL` with glibc; musl
 * takes the pages that it lies in.
 */
export function mprotect(address: number, length: number, prot: number): void {
  requireInt("prot", prot);
  requireSize("address", address);
  requireSize("length", length);
  const { calls, wide } = library();
  while (calls.mprotect(wide(address), wide(length), prot) === -1 && retry("mprotect"));
}

/** Wraps madvise(2): `advice` is `MADV_*`. */
export function madvise(address: number, length: number, advice: number): void {
  requireInt("advice", advice);
  requireSize("address", address);
  requireSize("length", length);
  const { calls, wide } = library();
  while (calls.madvise(wide(address), wide(length), advice) === -1 && retry("madvise"));
}

/**
 * Wraps memfd_create(2): a file in memory, of no length, which the caller closes. `flags` is
 * `MFD_*`; `name` shows in `/proc/self/fd` only.
 */
export function memfd_create(name: string, flags: number): number {
  requireUint("flags", flags);
  const bytes = cString("name", name);
  const { calls } = library();
  let fd: number;
  do fd = calls.memfd_create(bytes, flags); while (fd === -1 && retry("memfd_create"));
  return fd;
}
