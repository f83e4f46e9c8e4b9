/** Asks the C compilers for all that `ffi/` states: this machine's, and those of others. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assert, assertEquals } from "@std/assert";
import { constantUnits, preambleOf, type Unit, vringUnit } from "./abi_questions.ts";

const ABI = new URL("../../../ffi/abi/", import.meta.url);
const FLAGS: readonly string[] = ["-D_GNU_SOURCE", "-Wall", "-Werror"];

/** A compiler that need not be this machine's. */
interface Other {
  readonly compiler: string;
  /** The machine that it compiles for, as Deno names it. */
  readonly arch: string;
  /** Debian's packages. */
  readonly packages: string;
  readonly flags?: readonly string[];
  /** What its headers do not say, and why that makes no difference. */
  readonly differs?: Readonly<Record<string, string>>;
}

const HERE = process.arch === "x64" ? "x86_64" : "aarch64";
const INT = "an int and 4 bytes that musl clears: the kernel reads both as one number";

const OTHERS: readonly Other[] = [
  {
    compiler: "x86_64-linux-gnu-gcc",
    arch: "x86_64",
    packages: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
  },
  {
    compiler: "aarch64-linux-gnu-gcc",
    arch: "aarch64",
    packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
  },
  {
    compiler: "musl-gcc",
    arch: HERE,
    packages: "musl-tools linux-libc-dev",
    flags: ["-idirafter", "/usr/include", "-idirafter", `/usr/include/${HERE}-linux-gnu`],
    differs: {
      "_Alignof struct cmsghdr": INT,
      "sizeof struct cmsghdr.cmsg_len": INT,
      "sizeof struct msghdr.msg_iovlen": INT,
      "sizeof struct msghdr.msg_controllen": INT,
      SOMAXCONN: "the kernel's, which is 4096 since Linux 5.4",
      RWF_NOWAIT: "the kernel's: musl names none of them",
    },
  },
];

/** Macros of Linux 6.7: the headers that a compiler for another machine comes with may be older. */
const YOUNG: ReadonlySet<string> = new Set(["SOL_VSOCK", "VSOCK_RECVERR"]);

/** Why there is nothing to ask, or `false`. */
function without({ compiler, packages, flags }: Omit<Other, "arch">): string | false {
  const text = "#include <sys/socket.h>\n#include <linux/vm_sockets.h>\n";
  if (compile(compiler, flags, text).status === 0) return false;
  return `no ${compiler} with headers: install it (Debian: apt install ${packages})`;
}

/** Has `compiler` check `text`, and write nothing. */
function compile(
  compiler: string,
  flags: readonly string[] = [],
  input: string,
): { status: number | null; stderr: string } {
  const args = [...FLAGS, ...flags, "-fsyntax-only", "-x", "c", "-"];
  return spawnSync(compiler, args, { input, encoding: "utf8" });
}

/** One program of one file per unit, since some headers do not go together; its answers. */
function runC(units: readonly Unit[]): number[] {
  const folder = mkdtempSync(join(tmpdir(), "vsockit-abi-"));
  try {
    const calls = units.map((_, index) => `  ask${index}();\n`).join("");
    const declarations = units.map((_, index) => `void ask${index}(void);\n`).join("");
    const files = [`${declarations}int main(void) {\n${calls}  return 0;\n}\n`, ...units.map(toC)];
    const paths = files.map((text, index) => {
      const path = join(folder, `${index}.c`);
      writeFileSync(path, text);
      return path;
    });
    const program = join(folder, "ask");
    execFileSync("gcc", [...FLAGS, "-o", program, ...paths]);
    return execFileSync(program, { encoding: "utf8" }).trim().split("\n").map(Number);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function toC(unit: Unit, index: number): string {
  const prints = unit.questions.map(({ expression }) =>
    `  printf("%lld\\n", (long long)(${expression}));\n`
  ).join("");
  return `${preambleOf(unit)}void ask${index}(void) {\n${prints}}\n`;
}

/** What `other` says is not so: of each wrong number, what it is of and what we say. */
function refuted({ compiler, flags, differs }: Other, unit: Unit): string[] {
  const asked = unit.questions.filter(({ what }) => differs?.[what] === undefined);
  const asserts = asked.map(({ what, expression, ours }) => {
    const claim = `_Static_assert((long long)(${expression}) == ${ours}LL, "${what} = ${ours}");\n`;
    return YOUNG.has(what) ? `#ifdef ${what}\n${claim}#endif\n` : claim;
  }).join("");
  const { status, stderr } = compile(compiler, flags, preambleOf(unit) + asserts);
  const found = Array.from(stderr.matchAll(/static assertion failed: "(.*)"/g), ([, what]) => what);
  if (status !== 0 && found.length === 0) throw new Error(stderr);
  return found.map((what) => `${unit.module}: ${what}`);
}

/** What `ffi/` states on a machine of `arch`. */
async function unitsOn(arch: string): Promise<readonly Unit[]> {
  const worker = new Worker(new URL("./abi_worker.ts", import.meta.url), { workerData: arch });
  const [units] = await once(worker, "message");
  await worker.terminate();
  return units;
}

test("ffi/abi and ERRNO state what the C compiler says", {
  skip: without({ compiler: "gcc", packages: "gcc libc6-dev" }),
  timeout: 60_000,
}, async () => {
  const units = [...await constantUnits(), vringUnit()];
  const answers = runC(units);
  const questions = units.flatMap(({ module, questions }) =>
    questions.map(({ what, ours }) => ({ what: `${module}: ${what}`, ours }))
  );
  assertEquals(
    questions.map(({ what, ours }) => `${what} = ${ours}`),
    questions.map(({ what }, index) => `${what} = ${answers[index]}`),
  );
  assert(questions.length > 250, `only ${questions.length} questions were asked`);
});

for (const other of OTHERS) {
  test(`ffi/abi and ERRNO state what ${other.compiler} says`, {
    skip: without(other),
    timeout: 60_000,
  }, async () => {
    const units = await unitsOn(other.arch);
    assertEquals(units.flatMap((unit) => refuted(other, unit)), []);
  });
}

test("ffi/abi names a header for every module but the one of the RFC", () => {
  const without = readdirSync(ABI).filter((name) => {
    const source = readFileSync(new URL(name, ABI), "utf8");
    return !/<[\w/.]+\.h>/.test(source.slice(0, source.indexOf("*/")));
  });
  assertEquals(without, ["virtio_vsock_usr.ts"]);
});

test("EPOLL_EVENT is packed on x86-64 only", async () => {
  const { EPOLL_EVENT } = await import("../../../ffi/abi/epoll.ts");
  assertEquals(EPOLL_EVENT.size, process.arch === "x64" ? 12 : 16);
});
