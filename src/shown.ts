/**
 * Values of any type, as messages show them.
 *
 * @module
 */

/** Characters of a string that are shown at most. */
const LONGEST = 80;

/**
 * What `value` is: a string in quotes, an object by its class, one with a length by that too:
 * `"5000"`, `2n`, `Uint16Array(3)`, `Object`.
 */
export function shown(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length > LONGEST ? `String(${value.length})` : JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "function":
      return "Function";
    case "object":
      return value === null ? "null" : shownObject(value);
    default:
      return String(value);
  }
}

function shownObject(value: object): string {
  try {
    const name = value.constructor?.name || "Object";
    const { length = sizeOf(value) } = value as { readonly length?: unknown };
    return typeof length === "number" ? `${name}(${length})` : name;
  } catch {
    return "Object"; // its getters throw, or it is a Proxy
  }
}

/** Bytes of what is bytes, and no array. */
function sizeOf(value: object): number | undefined {
  return value instanceof ArrayBuffer || value instanceof DataView ? value.byteLength : undefined;
}
