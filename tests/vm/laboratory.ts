/**
 * All that a guest is made of, found or fetched or built.
 *
 * @module
 */
import process from "node:process";
import { Unavailable } from "./apt.ts";
import { cacheFolder } from "./cache.ts";
import { type Image, kernelImage } from "./image.ts";
import { buildModules } from "./kernel/build.ts";
import { type KernelTools, kernelTools } from "./kernel_tools.ts";
import { DEFAULT_KERNEL, defaultKernel, type Flavour } from "./options.ts";
import { findQemu, type Qemu } from "./qemu.ts";

/** What it takes to boot one flavour. */
export interface Laboratory {
  readonly image: Image;
  readonly qemu: Qemu;
  /** The kernel's own programs about AF_VSOCK. */
  readonly tools: KernelTools;
  /** Where to look for modules, the first place first. */
  readonly modules: readonly string[];
}

/** Throws {@linkcode Unavailable}, which says the cure, where this machine cannot have it. */
export async function openLaboratory(
  flavour: Flavour,
  kernel: string = defaultKernel(),
): Promise<Laboratory> {
  const machine = `${process.platform} ${process.arch}`;
  if (machine !== "linux x64") {
    throw new Unavailable(`Cannot boot a guest: must be linux x64: current value is ${machine}`);
  }
  if (flavour === "lab" && kernel !== DEFAULT_KERNEL) {
    const only = `must be ${DEFAULT_KERNEL} for the flavour lab`;
    throw new Unavailable(`Cannot boot a guest: kernel ${only}: current value is ${kernel}`);
  }
  const cache = cacheFolder();
  const qemu = findQemu(cache);
  const image = kernelImage(cache, kernel);
  const tools = kernelTools(cache);
  if (flavour === "stock") return { image, qemu, tools, modules: [image.modules] };
  return { image, qemu, tools, modules: [await buildModules(cache), image.modules] };
}
