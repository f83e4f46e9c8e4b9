/**
 * The machine this runs on, where a C layout depends on it.
 *
 * @module
 */

/** `true` on x86-64, where Linux packs `struct epoll_event`; `false` on arm64. */
export const X86_64: boolean =
  (globalThis as { process?: { arch?: string } }).process?.arch === "x64";
