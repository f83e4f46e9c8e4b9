// Types of the parts of @std and d3 in use, whose npm packages ship none. An ambient
// declaration wins over what a name resolves to, in Deno (`compilerOptions.types`) and in tsc.

declare module "@std/assert" {
  type Class<E> = abstract new (...args: never[]) => E;

  export class AssertionError extends Error {}

  export function assert(expr: unknown, msg?: string): asserts expr;
  export function assertAlmostEquals(
    actual: number,
    expected: number,
    tolerance?: number,
    msg?: string,
  ): void;
  export function assertArrayIncludes<T>(
    actual: ArrayLike<T>,
    expected: ArrayLike<T>,
    msg?: string,
  ): void;
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T>;
  export function assertFalse(expr: unknown, msg?: string): void;
  export function assertGreater<T>(actual: T, expected: T, msg?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void;
  export function assertInstanceOf<T>(
    actual: unknown,
    expectedType: Class<T>,
    msg?: string,
  ): asserts actual is T;
  export function assertIsError<E extends Error = Error>(
    error: unknown,
    ErrorClass?: Class<E>,
    msgMatches?: string | RegExp,
    msg?: string,
  ): asserts error is E;
  export function assertLess<T>(actual: T, expected: T, msg?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void;
  export function assertMatch(actual: string, expected: RegExp, msg?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void;
  export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertObjectMatch(
    actual: Readonly<Record<PropertyKey, unknown>>,
    expected: Readonly<Record<PropertyKey, unknown>>,
    msg?: string,
  ): void;
  export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass: Class<E>,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    msg?: string,
  ): asserts actual is T;
  export function assertStringIncludes(actual: string, expected: string, msg?: string): void;
  export function assertThrows(fn: () => unknown, msg?: string): unknown;
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    ErrorClass: Class<E>,
    msgIncludes?: string,
    msg?: string,
  ): E;
  export function equal(a: unknown, b: unknown): boolean;
  export function fail(msg?: string): never;
  export function unreachable(reason?: string): never;
}

declare module "@std/cli/parse-args" {
  /** The options in use. `B`, `S` and `C` name the boolean, string and repeatable arguments. */
  export interface ParseOptions<B extends string, S extends string, C extends string> {
    readonly boolean?: readonly B[];
    readonly string?: readonly S[];
    readonly collect?: readonly C[];
    readonly negatable?: readonly string[];
    readonly alias?: Readonly<Record<string, string | readonly string[]>>;
    readonly default?: Readonly<Record<string, unknown>>;
    readonly "--"?: boolean;
    readonly stopEarly?: boolean;
    /** Called with what no option names; `false` leaves it out of the result. */
    readonly unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }

  /** What was given. Arguments that are neither boolean nor string come out by alias, untyped. */
  export type Args<B extends string, S extends string, C extends string> =
    & { [K in B]: boolean }
    & { [K in Exclude<S, C | "_">]?: string }
    & { [K in C]: string[] }
    & { _: "_" extends S ? string[] : (string | number)[]; "--"?: string[] };

  export function parseArgs<
    const B extends string = never,
    const S extends string = never,
    const C extends string = never,
  >(args: readonly string[], options?: ParseOptions<B, S, C>): Args<B, S, C>;
}

declare module "d3-scale" {
  export interface ScaleLog {
    (value: number): number;
    base(base: number): ScaleLog;
    ticks(count: number): number[];
  }

  export function scaleLog(domain: readonly number[], range: readonly number[]): ScaleLog;
}

declare module "d3-shape" {
  export function line(): (points: readonly (readonly [number, number])[]) => string | null;
}
