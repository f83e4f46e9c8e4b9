/**
 * What a look at one capability comes to.
 *
 * @module
 */
import { cureOf, FfiUnavailableError, isDeniedMemory } from "../../ffi/backend.ts";
import type { Address } from "../address.ts";
import { hintFor } from "../hint.ts";

/** Whether this machine has one capability, and why not. */
export interface Finding {
  /** Whether it is there. */
  readonly ok: boolean;
  /** What is there: a version, a limit in bytes, a CID. */
  readonly value?: string | number;
  /** Why it is there or not. */
  readonly why: string;
  /** What a person can do: a command where there is one. */
  readonly cure?: string;
}

/** One capability: how to find out. */
export interface Look {
  /** What it is, in a few words. */
  readonly about: string;
  /** An address of the family that it makes sockets of. @default {one of AF_VSOCK} */
  readonly of?: Address;
  /** Looks. What it throws is told as a finding. */
  look(): Finding;
}

/** What failures of libc and of `node:fs` may have. */
interface Failure {
  readonly op?: string;
  readonly code?: string;
  readonly path?: string;
}

/** It is there. */
export function yes(why: string, value?: string | number): Finding {
  return value === undefined ? { ok: true, why } : { ok: true, value, why };
}

/** It is not there. */
export function no(why: string, cure?: string, value?: string | number): Finding {
  return {
    ok: false,
    why,
    ...(value === undefined ? {} : { value }),
    ...(cure === undefined ? {} : { cure }),
  };
}

/** `"reason: cure"`, as `src/kernel/reach.ts` has it, in its two parts. */
export function noFrom(reason: string): Finding {
  const [, why = reason, cure] = /^(.*): ((?:modprobe|run with) .*)$/s.exec(reason) ?? [];
  return no(why, cure);
}

/** The finding of `look`, whatever it throws. */
export function lookSafely({ look, of }: Look): Finding {
  try {
    return look();
  } catch (error) {
    if (error instanceof FfiUnavailableError) {
      const why = isDeniedMemory(error) ? "memory is out of reach" : "libc cannot be called";
      return no(why, cureOf(error));
    }
    const why = error instanceof Error ? error.message : String(error);
    const [flag] = /--allow-[a-z]+/.exec(why) ?? [];
    if (flag !== undefined) return no(`${flag} is not given`, `run with ${flag}`);
    const { op = "", code = "", path = "" } = error as Failure;
    if (code === "ENOENT" && path.startsWith("/proc/")) {
      return no(`there is no ${path} to tell`, "mount /proc, or look outside of the container");
    }
    return noFrom(op === "socket" ? hintFor(op, code, of) ?? why : why);
  }
}
