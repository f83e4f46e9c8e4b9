/** A collection of garbage, on each runtime. */
import v8 from "node:v8";
import vm from "node:vm";

const { Bun } = globalThis as unknown as { readonly Bun?: { gc(force: boolean): void } };

/** Collects what nobody holds. */
export function collect(): void {
  if (Bun !== undefined) return Bun.gc(true);
  v8.setFlagsFromString("--expose-gc");
  vm.runInNewContext("gc")();
}
