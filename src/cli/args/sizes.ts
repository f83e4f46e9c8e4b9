/**
 * Sizes as people write them: `4096`, `64K`, `16M`, `2G`, each letter times 1024.
 *
 * @module
 */
import { wrongValue } from "./usage.ts";

const LETTERS = "KMG";

/**
 * The bytes that `text` stands for. A number without a letter counts in `unit` bytes.
 *
 * @throws {UsageError} Unless it is a positive whole number of bytes, exact in a double.
 */
export function parseSize(flag: string, text: string, unit = 1): number {
  const [, digits = "", letter = ""] = /^(\d+)([KMG]?)$/i.exec(text) ?? [];
  const scale = letter === "" ? unit : 1024 ** (LETTERS.indexOf(letter.toUpperCase()) + 1);
  const bytes = digits === "" ? NaN : Number(digits) * scale;
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw wrongValue(flag, "be a positive whole number, then K, M, G or nothing", text);
  }
  return bytes;
}

/** The shortest exact way to write `bytes`: `64K`, `2G`, `4097`. */
export function formatSize(bytes: number): string {
  let [value, letter] = [bytes, ""];
  for (const next of LETTERS) {
    if (value === 0 || value % 1024 !== 0) break;
    [value, letter] = [value / 1024, next];
  }
  return `${value}${letter}`;
}
