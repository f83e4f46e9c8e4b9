/**
 * A strict command line: flags from a list, and nothing else; and the values that they are given.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Flag, HELP_FLAG } from "./flags.ts";
import { toBytes, toInteger, UsageError, wrongValue } from "./values.ts";

/** The flags given: a string for each that takes a value, or a list; `true` for the others. */
export type Given = ReadonlyMap<string, string | readonly string[] | true>;

/** A command line with operands. */
export interface Line {
  /** The flags given. */
  readonly given: Given;
  /** All that is no flag, in order. */
  readonly operands: readonly string[];
}

/**
 * Reads `args` by `flags`. Values may follow as `-b 64K`, `-b64K`, `--buffer 64K` or
 * `--buffer=64K`; the last one given counts, of a flag with `many` all of them. Letters may be
 * joined.
 *
 * @throws {UsageError} On an unknown flag, a value missing or too much, or an operand.
 */
export function parseFlags(flags: readonly Flag[], args: readonly string[]): Given {
  return parseLine(flags, args, 0).given;
}

/**
 * Reads `args` as `parseFlags()` does, and takes so many operands; behind `--` all are operands.
 */
export function parseLine(
  flags: readonly Flag[],
  args: readonly string[],
  most: number = Infinity,
): Line {
  const parsed = parseArgs(joinValues(flags, args), {
    string: ["_", ...flags.filter(({ value }) => value).map(({ name }) => name)],
    boolean: flags.filter(({ value }) => !value).map(({ name }) => name),
    collect: flags.filter(({ many }) => many).map(({ name }) => name),
  });
  const values: Readonly<Record<string, unknown>> = parsed;
  const given = new Map<string, string | readonly string[] | true>();
  for (const { name } of flags) {
    const value = values[name];
    if (typeof value === "string" || value === true) given.set(name, value);
    else if (Array.isArray(value) && value.length > 0) given.set(name, value);
  }
  const operands = parsed._;
  if (operands.length > most) throw new UsageError(`Unexpected operand: ${operands[most]}`);
  return { given, operands };
}

/** Whether `args` have `HELP_FLAG` in either form; behind `--` it is an operand. */
export function asksForHelp(flags: readonly Flag[], args: readonly string[]): boolean {
  const apart = splitLetters([...flags, HELP_FLAG], args);
  const end = apart.indexOf("--");
  return apart.slice(0, end < 0 ? apart.length : end).some((arg) =>
    arg === "--help" || arg === "-h"
  );
}

/** Takes letters apart that are joined: `-lv` is `-l -v`, and `-lw5` is `-l -w5`. */
export function splitLetters(flags: readonly Flag[], args: readonly string[]): string[] {
  const end = args.indexOf("--");
  const before = end < 0 ? args : args.slice(0, end);
  return [...before.flatMap((arg) => splitArg(flags, arg)), ...args.slice(before.length)];
}

function splitArg(flags: readonly Flag[], arg: string): string[] {
  const [, letter] = /^-([A-Za-z])[A-Za-z]/.exec(arg) ?? [];
  const flag = flags.find(({ short }) => short !== undefined && short === letter);
  if (flag === undefined || flag.value !== undefined) return [arg];
  return [`-${letter}`, ...splitArg(flags, `-${arg.slice(2)}`)];
}

/**
 * Gives each flag its long form, joined to its value by `=`, so that `-b -5` is not two flags;
 * refuses what `parseArgs()` would take.
 */
function joinValues(flags: readonly Flag[], args: readonly string[]): string[] {
  const joined: string[] = [];
  const rest = splitLetters(flags, args);
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") return [...joined, arg, ...rest];
    const { flag, attached } = findFlag(flags, arg);
    if (flag === undefined && /^-./.test(arg)) throw new UsageError(`Unknown option: ${arg}`);
    if (flag === undefined) joined.push(arg);
    else if (flag.value === undefined) joined.push(plainFlag(flag, attached));
    else {
      const value = attached ?? takeValue(arg, rest);
      requireChoice(flag, value);
      joined.push(`--${flag.name}=${value}`);
    }
  }
  return joined;
}

function plainFlag({ name }: Flag, attached: string | undefined): string {
  if (attached === undefined) return `--${name}`;
  throw wrongValue(`--${name}`, "have no value", attached);
}

function requireChoice({ name, choices }: Flag, value: string): void {
  if (choices === undefined || choices.includes(value)) return;
  throw wrongValue(`--${name}`, `be one of ${choices.join(", ")}`, value);
}

/** The flag that `arg` names, and the value attached to it. */
function findFlag(
  flags: readonly Flag[],
  arg: string,
): { readonly flag?: Flag | undefined; readonly attached?: string | undefined } {
  const [, long, longValue] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
  if (long !== undefined) {
    return { flag: flags.find(({ name }) => name === long), attached: longValue };
  }
  const [, letter, attached] = /^-([A-Za-z])=?(.+)?$/s.exec(arg) ?? [];
  return { flag: flags.find(({ short }) => short !== undefined && short === letter), attached };
}

/** The next argument as the value of `arg`; one that looks like a flag is none. */
function takeValue(arg: string, rest: string[]): string {
  const next = rest[0];
  if (next === undefined || /^-\D/.test(next)) throw wrongValue(arg, "have a value", undefined);
  rest.shift();
  return next;
}

/** The value that `flag` is given. */
export function readText(given: Given, flag: string): string | undefined {
  const value = given.get(flag);
  return typeof value === "string" ? value : undefined;
}

/**
 * The values of a flag with `many`, none where it is not given; one may be several, cut at `comma`.
 */
export function readMany(given: Given, flag: string, comma: string | RegExp): string[] {
  const values = given.get(flag);
  return Array.isArray(values) ? values.flatMap((value: string) => value.split(comma)) : [];
}

/**
 * The integer that `flag` is given, or `otherwise`.
 *
 * @throws {UsageError} If it is none from `min` to `max`.
 */
export function readInteger<T>(
  given: Given,
  flag: string,
  otherwise: T,
  min: number,
  max: number,
): number | T {
  const value = readText(given, flag);
  return value === undefined ? otherwise : toInteger(`--${flag}`, value, min, max);
}

/**
 * The bytes that `flag` is given, or `otherwise`; a number without a letter counts in `unit` bytes.
 *
 * @throws {UsageError} If they are not from `min` to `max`.
 */
export function readBytes(
  given: Given,
  flag: string,
  otherwise: number,
  min: number,
  max: number,
  unit = 1,
): number {
  const value = readText(given, flag);
  return value === undefined ? otherwise : toBytes(`--${flag}`, value, min, max, unit);
}

/** @throws {UsageError} If `flag` is given, and `needed` is not. */
export function requireWith(given: Given, flag: string, needed: string): void {
  if (!given.has(flag) || given.has(needed)) return;
  throw wrongValue(`--${flag}`, `be with --${needed}`, `no --${needed}`);
}

/** @throws {UsageError} If `flag` is given together with one of `others`. */
export function requireWithout(given: Given, flag: string, others: readonly string[]): void {
  const other = others.find((other) => given.has(other));
  if (!given.has(flag) || other === undefined) return;
  throw wrongValue(`--${flag}`, `be without --${other}`, "both");
}
