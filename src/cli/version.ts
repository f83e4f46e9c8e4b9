/**
 * Which version of the command this is.
 *
 * @module
 */

/** As deno.json and package.json have it, neither of which is there in a compiled command. */
export const VERSION = "0.1.0";
