/** Tells what `ffi/` states on the machine that `workerData` names, by the name that Deno has. */
import { parentPort, workerData } from "node:worker_threads";

// `ffi/arch.ts` looks at it once in each thread.
Object.defineProperty(globalThis, "Deno", { value: { build: { arch: workerData } } });
const { constantUnits } = await import("./abi_questions.ts");
parentPort?.postMessage(await constantUnits());
