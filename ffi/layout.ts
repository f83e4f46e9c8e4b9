/**
 * Layouts of C structs, computed by C's rules of alignment on 64-bit Linux (LP64, little endian).
 *
 * @module
 */
import { requireObject } from "./arguments.ts";

/** A scalar member: its width in bits, and the two that are as wide as a pointer. */
export type Scalar =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "u64"
  | "i64"
  | "usize"
  | "ptr";

/** A member of a struct: a scalar, a struct, or an array of either, `[element, count]`. */
export type Field = Scalar | Layout<string> | readonly [Scalar | Layout<string>, number];

/** Where the members of a struct lie. */
export interface Layout<Name extends string> {
  /** The C type, e.g. `"struct sockaddr_vm"`. */
  readonly name: string;
  /** The header that declares it, e.g. `"linux/vm_sockets.h"`. */
  readonly header: string;
  /** `sizeof` in bytes. */
  readonly size: number;
  /** `_Alignof` in bytes. */
  readonly align: number;
  /** `offsetof` in bytes, by member. */
  readonly at: Readonly<Record<Name, number>>;
  /** `sizeof` in bytes, by member. */
  readonly sizes: Readonly<Record<Name, number>>;
}

/** What deviates from the default in {@linkcode layout}. */
export interface LayoutOptions {
  /** `__attribute__((packed))`: no padding. @default {false} */
  readonly packed?: boolean;
}

const SCALAR_SIZE: Readonly<Record<Scalar, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  usize: 8,
  ptr: 8,
};

function measure(field: Field): { size: number; align: number } {
  if (typeof field === "string") {
    return { size: SCALAR_SIZE[field], align: SCALAR_SIZE[field] };
  }
  if (!("name" in field)) {
    const { size, align } = measure(field[0]);
    return { size: size * field[1], align };
  }
  return field;
}

function roundUp(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}

/**
 * Lays `fields` out in the order given, each on its own alignment, as a C compiler does.
 *
 * @param name The C type, e.g. `"struct pollfd"`.
 * @param header The header that declares it, without brackets.
 * @param fields Members in C's order.
 * @param options `packed` as in C.
 */
export function layout<Name extends string>(
  name: string,
  header: string,
  fields: Readonly<Record<Name, Field>>,
  options: LayoutOptions = {},
): Layout<Name> {
  requireObject("fields", fields);
  requireObject("options", options);
  const { packed = false } = options;
  const at = {} as Record<Name, number>;
  const sizes = {} as Record<Name, number>;
  let end = 0;
  let align = 1;
  for (const member of Object.keys(fields) as Name[]) {
    const own = measure(fields[member]);
    const start = roundUp(end, packed ? 1 : own.align);
    at[member] = start;
    sizes[member] = own.size;
    end = start + own.size;
    align = packed ? 1 : Math.max(align, own.align);
  }
  return { name, header, size: roundUp(end, align), align, at, sizes };
}
