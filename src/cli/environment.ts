/**
 * The environment, as far as Deno lets it be read.
 *
 * @module
 */
import process from "node:process";
import { isNotCapable } from "../../ffi/backend.ts";

/** The value of a variable; one that may not be read is as if it were not set. */
export function readVariable(name: string): string | undefined {
  try {
    return process.env[name];
  } catch (error) {
    if (isNotCapable(error)) return undefined;
    throw error;
  }
}
