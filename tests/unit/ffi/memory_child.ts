/**
 * Touches memory that is gone, in a process of its own: `<runtime> memory_child.ts CASE` ends
 * with 0 after it printed what the touch found, and by a signal if a view outlived its pages.
 */
import process from "node:process";
import { Worker } from "node:worker_threads";
import { StolenViewError } from "../../../ffi/loans.ts";
import { close } from "../../../ffi/libc.ts";
import { createMemfd } from "../../../ffi/memfd.ts";
import { MappedRegion, pageSize } from "../../../ffi/memory.ts";

const PAGE = pageSize();
const SIZE = 16 * PAGE;

function anonymous(): MappedRegion {
  return new MappedRegion(SIZE);
}

function memfd(): MappedRegion {
  const fd = createMemfd("child", SIZE);
  const region = new MappedRegion(SIZE, { fd });
  close(fd);
  return region;
}

/** Writes and reads through each view, by index and by method, and says what there is. */
function touch(...views: readonly (Uint8Array | DataView)[]): string {
  return views.map((view) => {
    let found = "";
    try {
      if (view instanceof DataView) {
        view.setUint8(0, 1);
        return String(view.getUint8(0));
      }
      view[0] = 1;
      found = `${view.length} bytes, ${view[0]} first, `;
      return found + view.fill(1).indexOf(1);
    } catch (error) {
      return found + (error as Error).name;
    }
  }).join("; ");
}

function views(region: MappedRegion): [Uint8Array, Uint8Array, DataView] {
  const view = region.lend(PAGE, 5000).fill(9);
  return [view, view.subarray(100), new DataView(view.buffer)];
}

/** A hot loop that has been compiled for the view by the time that the view dies under it. */
function hotLoop(region: MappedRegion): string {
  const view = region.lend(0, SIZE).fill(1);
  let sum = 0;
  for (let round = 0; round < 300; round++) {
    if (round === 200) region.unmap();
    for (let index = 0; index < SIZE; index++) sum += view[index] ?? 0;
  }
  return `sum ${sum}`;
}

function stolen(
  end: (region: MappedRegion) => void,
  steal: (b: ArrayBuffer) => ArrayBuffer,
): string {
  const region = anonymous();
  const bystander = region.lend(0, 10);
  const loot = new Uint8Array(steal(region.lend(PAGE, 100).fill(7).buffer));
  const before = loot[0];
  try {
    end(region);
    return "no error";
  } catch (error) {
    if (!(error instanceof StolenViewError)) throw error;
    loot[1] = 5;
    const after = `${loot.length} ${before} ${loot[0]} ${loot[1]}`;
    return `${error.reserved} reserved, loot ${after}, bystander ${touch(bystander)}`;
  }
}

function postAway(buffer: ArrayBuffer): ArrayBuffer {
  return structuredClone(buffer, { transfer: [buffer] });
}

/** A view in another thread: it reads on while the region ends, and ends the worker when asked. */
async function stolenByWorker(): Promise<string> {
  const region = anonymous();
  const view = region.lend(0, SIZE).fill(3);
  const worker = new Worker(new URL("./memory_worker.ts", import.meta.url));
  const messages: unknown[] = [];
  const next = (): Promise<unknown> =>
    new Promise((resolve) => worker.once("message", resolve)).then((m) => messages.push(m));
  const started = next();
  const flag = new Int32Array(new SharedArrayBuffer(4));
  worker.postMessage({ buffer: view.buffer, flag }, [view.buffer]);
  await started;
  let name = "no error";
  try {
    region.unmap();
  } catch (error) {
    name = (error as Error).name;
  }
  const ended = next();
  Atomics.store(flag, 0, 1);
  await ended;
  await worker.terminate();
  return `${name}, worker ${messages.join(" ")}`;
}

const CASES: Readonly<Record<string, () => string | Promise<string>>> = {
  "release anonymous": () => {
    const region = anonymous();
    const all = views(region);
    region.release(all[0]);
    return touch(...all);
  },
  "releaseAll memfd": () => {
    const region = memfd();
    const all = views(region);
    region.releaseAll();
    return touch(...all);
  },
  "discard anonymous": () => {
    const region = anonymous();
    const all = views(region);
    region.discard(0, SIZE);
    return touch(...all);
  },
  "unmap anonymous": () => {
    const region = anonymous();
    const all = views(region);
    region.unmap();
    return touch(...all);
  },
  "unmap memfd": () => {
    const region = memfd();
    const all = views(region);
    region.unmap();
    return touch(...all);
  },
  "resize anonymous": () => {
    const region = anonymous();
    const all = views(region);
    region.resize(64 * SIZE);
    return touch(...all);
  },
  "hot loop": () => hotLoop(anonymous()),
  "stolen by transfer": () => stolen((region) => region.unmap(), (buffer) => buffer.transfer()),
  "stolen by structuredClone": () => stolen((region) => region.discard(PAGE, 1), postAway),
  "stolen by resize": () => stolen((region) => region.resize(1), postAway),
  "stolen by worker": stolenByWorker,
};

const run = CASES[process.argv[2] ?? ""];
if (run === undefined) throw new TypeError(`Cannot run case: current value is ${process.argv[2]}`);
console.log(await run());
