/** The laboratory itself: what a command in a guest may rely on, and what cannot go wrong. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch, assertNotMatch, assertStringIncludes } from "@std/assert";
import { ROOT } from "../house/toolchain.ts";

const LIMIT = { timeout: 300_000 };

interface Printed {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An empty folder, gone after use. */
class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "vsockit-folder-"));
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** `deno task vm -- ARGS`; `heard` gets what stdout is so far, and the process's id. */
async function vm(
  args: readonly string[],
  heard?: (stdout: string, pid: number) => void,
): Promise<Printed> {
  using scratch = new Folder(); // where one that is killed leaves what it has
  const child = spawn(process.execPath, ["run", "-A", "tests/vm/main.ts", ...args], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: scratch.path },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    if (child.pid !== undefined) heard?.(stdout, child.pid);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const [code]: (number | null)[] = await once(child, "close");
  return { code: code ?? null, stdout, stderr };
}

test(
  "vm runs the command as root in the checkout, and its exit code is the command's",
  LIMIT,
  async () => {
    const script = "id -u; pwd; uname -r; echo $VSOCKIT_GUEST; echo to stderr >&2; exit 42";
    const { code, stdout, stderr } = await vm(["--", "bash", "-c", script]);
    const [uid, folder, release, flavour] = stdout.split("\n");
    assertEquals([uid, `${folder}/`, flavour], ["0", ROOT, "stock"]);
    assertMatch(release ?? "", /^6\.12\./);
    assertStringIncludes(stderr, "to stderr\n");
    assertNotMatch(stderr, /the kernel's log/);
    assertEquals(code, 42);
  },
);

test(
  "vm has the runtimes, AF_VSOCK with its loopback, and lo, and no other network",
  LIMIT,
  async () => {
    const script = "deno -v && bun -v && node -v && ls /sys/class/net /sys/module";
    const { code, stdout } = await vm(["--", "bash", "-c", script]);
    assertEquals(code, 0);
    assertMatch(stdout, /^deno \d.*\n\d.*\nv\d/);
    assertMatch(stdout, /^vsock_loopback$/m);
    assertMatch(stdout, /\/sys\/class\/net:\nlo\n\n/);
  },
);

test(
  "vm passes the arguments on as they are, and 127 for a command that is not there",
  LIMIT,
  async () => {
    const odd = ["a b", "it's", "$HOME", "*", "", "--timeout", "--", "\\n", "ä"];
    const { code, stdout } = await vm(["--", "printf", "[%s]", ...odd]);
    assertEquals([code, stdout], [0, odd.map((arg) => `[${arg}]`).join("")]);
    assertEquals((await vm(["--", "no-such-command"])).code, 127);
  },
);

test("vm streams the output as it comes", LIMIT, async () => {
  using results = new Folder();
  // The command goes on when the file is there, which is made when its first line is heard.
  const script = "echo first; until [ -e /results/heard ]; do sleep 0.1; done; echo second";
  const args = ["--results", results.path, "--", "bash", "-c", script];
  const { code, stdout } = await vm(args, (heard) => {
    if (heard === "first\n") writeFileSync(join(results.path, "heard"), "");
  });
  assertEquals([code, stdout], [0, "first\nsecond\n"]);
});

test(
  "vm loses no byte of a long output, nor of one that ends without a newline",
  LIMIT,
  async () => {
    const { code, stdout } = await vm(["--", "bash", "-c", "seq 200000; printf end"]);
    const lines = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`);
    assertEquals(code, 0);
    assertEquals(stdout === `${lines.join("")}end`, true);
  },
);

test("vm ends although the command leaves a process behind", LIMIT, async () => {
  const { code, stdout } = await vm(["--", "bash", "-c", "sleep 1000 & echo done"]);
  assertEquals([code, stdout], [0, "done\n"]);
});

test(
  "vm ends a command that hangs when the time is up, with 124 and the kernel's log",
  LIMIT,
  async () => {
    const script = "echo waiting; echo mark of the log > /dev/kmsg; sleep 1000";
    const { code, stdout, stderr } = await vm(["--timeout", "40", "--", "bash", "-c", script]);
    assertEquals([code, stdout], [124, "waiting\n"]);
    assertMatch(stderr, /the kernel's log[^]*mark of the log[^]*not done in 40 seconds\n$/);
  },
);

test("vm that is killed takes the machine with it", LIMIT, async () => {
  const script = "echo up; sleep 1000";
  // The machine has our stderr too, which is open until both have ended.
  const { code } = await vm(["--", "bash", "-c", script], (_, pid) => process.kill(pid, "SIGKILL"));
  assertEquals(code, null);
});

test("vm that is interrupted says so by 130", LIMIT, async () => {
  const script = "echo up; sleep 1000";
  const { code, stderr } = await vm(
    ["--", "bash", "-c", script],
    (_, pid) => process.kill(pid, "SIGTERM"),
  );
  assertEquals(code, 130);
  assertMatch(stderr, /interrupted\n$/);
});

test("vm says 125 and prints the kernel's log where the kernel crashes", LIMIT, async () => {
  const script = "echo before; echo c > /proc/sysrq-trigger; echo after";
  const { code, stdout, stderr } = await vm(["--", "bash", "-c", script]);
  assertEquals(code, 125);
  assertNotMatch(stdout, /after/);
  assertMatch(stderr, /Kernel panic[^]*sysrq triggered crash[^]*the guest died\n$/);
});

test("vm lets the command write everywhere, and nothing of it gets out", LIMIT, async () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const script = `set -e; echo gone > README.md; echo new > vm_was_here; rm CHANGELOG.md
    chmod 0 LICENSE; echo boo > /etc/vm_was_here; cat README.md
    chroot /proc/1/root /bin/mount -o remount,rw /lower
    if touch /proc/1/root/lower$PWD/vm_was_here; then echo written; fi`;
  const { code, stdout } = await vm(["--", "bash", "-c", script]);
  assertEquals([code, stdout], [0, "gone\n"]);
  assertEquals(readFileSync(join(ROOT, "README.md"), "utf8"), readme);
  assertEquals(existsSync(join(ROOT, "CHANGELOG.md")), true);
  assertEquals(existsSync(join(ROOT, "vm_was_here")), false);
  assertEquals(existsSync("/etc/vm_was_here"), false);
});

test("vm hands out what is in /results, links as plain files", LIMIT, async () => {
  using results = new Folder();
  const script = "cd /results; echo 1234 > file; ln -s /etc/passwd link; chmod 4755 file";
  const args = ["--results", results.path, "--", "bash", "-c", script];
  assertEquals((await vm(args)).code, 0);
  assertEquals(readFileSync(join(results.path, "file"), "utf8"), "1234\n");
  assertEquals(statSync(join(results.path, "file")).mode & 0o7000, 0);
  assertEquals(lstatSync(join(results.path, "link")).isFile(), true);
});

test("vm with bad arguments says 125 and how to call it, and boots nothing", LIMIT, async () => {
  const bad: readonly (readonly string[])[] = [
    [],
    ["--flavour", "mild", "true"],
    ["--timeout", "0", "true"],
    ["--cpus", "many", "true"],
    ["--no-such", "option", "true"],
    ["--memory"],
  ];
  for (const args of bad) {
    const { code, stderr } = await vm(args);
    assertEquals(code, 125);
    assertMatch(stderr, /^Cannot boot: .*\nusage: /);
  }
});
