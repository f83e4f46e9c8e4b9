/**
 * The machine this runs on, where a C layout depends on it.
 *
 * @module
 */

const here = globalThis as {
  readonly Deno?: { readonly build: { readonly arch: string } };
  readonly process?: { readonly arch?: string };
};

/** `true` on x86-64, where Linux packs `struct epoll_event`; `false` on arm64. */
export const X86_64: boolean = here.Deno === undefined
  ? here.process?.arch === "x64"
  : here.Deno.build.arch === "x86_64"; // its process takes 15 ms to load
