/**
 * A command in a guest, from the boot to the exit code.
 *
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import type { Writable } from "node:stream";
import { makeInitramfs } from "./initramfs.ts";
import type { Laboratory } from "./laboratory.ts";
import type { Options } from "./options.ts";
import { Port } from "./port.ts";
import { startQemu } from "./qemu.ts";

/** Where the command's output goes; stderr gets the kernel's log where the guest failed. */
export interface Sinks {
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** An exit code, and where it is not the command's own, what happened. */
interface End {
  readonly code: number;
  readonly fault?: string;
}

/** Exit code where the time was up: that of timeout(1). */
const TIME_IS_UP = 124;
/** Exit code where the guest ended before the command did. */
const GUEST_DIED = 125;
/** Exit code of what an interrupt ended. */
const INTERRUPTED = 130;

/** Boots, runs the command, and resolves with its exit code, or with one of those above. */
export async function runInGuest(
  laboratory: Laboratory,
  options: Options,
  { stdout, stderr }: Sinks,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "vsockit-vm-"));
  const [initramfs, log] = [join(folder, "initramfs"), join(folder, "console.log")];
  const results = resolve(options.results ?? join(folder, "results"));
  const mark = `end of ${randomUUID()} `;
  try {
    mkdirSync(results, { recursive: true });
    writeFileSync(initramfs, makeInitramfs(laboratory, options, mark));
    const ports = [
      new Port(join(folder, "stdout"), mark, stdout),
      new Port(join(folder, "stderr"), mark, stderr),
    ];
    const { cpus, memoryMiB, timeoutSeconds, control, vhostUser, monitor } = options;
    const { qemu, image: { vmlinuz } } = laboratory;
    const sockets = { ports: ports.map(({ path }) => path), control, vhostUser, monitor };
    const machine = startQemu(qemu, {
      cpus,
      memoryMiB,
      vmlinuz,
      initramfs,
      results,
      log,
      ...sockets,
    });
    const end = await untilEnd(machine, ports, timeoutSeconds);
    if (end.fault !== undefined) {
      stderr.write(`\n--- the kernel's log\n${readFileSync(log, "utf8")}--- vm: ${end.fault}\n`);
    }
    return end.code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits for the command's end, the machine's, or that of the time; then there is no machine. */
async function untilEnd(
  machine: ChildProcess,
  ports: readonly Port[],
  seconds: number,
): Promise<End> {
  const done = Promise.all(ports.map(({ code }) => code)).then(([code = GUEST_DIED]) => ({ code }));
  const closed = once(machine, "close");
  const died = closed.then(() => ({ code: GUEST_DIED, fault: "the guest died" }));
  const { promise: cut, resolve } = Promise.withResolvers<End>();
  const late = { code: TIME_IS_UP, fault: `not done in ${seconds} seconds` };
  const timer = setTimeout(() => resolve(late), seconds * 1000);
  const interrupt = (): void => resolve({ code: INTERRUPTED, fault: "interrupted" });
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  try {
    return await Promise.race([done, died, cut]);
  } finally {
    clearTimeout(timer);
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
    machine.kill("SIGKILL");
    await closed;
    await Promise.all(ports.map((port) => port.close()));
  }
}
