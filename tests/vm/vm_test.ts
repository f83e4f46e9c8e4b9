/** The laboratory itself: what a command in a guest may rely on, and what cannot go wrong. */
import { existsSync, lstatSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { once } from "node:events";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch, assertNotMatch, assertStringIncludes } from "@std/assert";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ROOT } from "../house/toolchain.ts";
import { type Ended, GuestProcess } from "./guest_process.ts";

const LIMIT = { timeout: 300_000 };

/** `deno task vm -- ARGS`, to its end. */
function vm(args: readonly string[]): Promise<Ended> {
  return new GuestProcess(args).ended;
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

test("vm boots the kernel that --kernel names, for the flavour stock alone", LIMIT, async (t) => {
  const script = "uname -r; ls /sys/module";
  const { code, stdout, stderr } = await vm(["--kernel", "6.1", "--", "bash", "-c", script]);
  if (code === 125 && stderr.includes("Cannot fetch")) return t.skip(stderr);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^6\.1\.\d.*\n[^]*^vsock_loopback$/m);
  const lab = await vm(["--kernel", "6.1", "--flavour", "lab", "true"]);
  assertEquals(lab.code, 125);
  assertStringIncludes(lab.stderr, "kernel must be 6.12 for the flavour lab: current value is 6.1");
});

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
  "vm passes the arguments and VSOCKIT_ on as they are, and 127 for what is not there",
  LIMIT,
  async () => {
    const odd = ["a b", "it's", "$HOME", "*", "", "--timeout", "--", "\\n", "ä"];
    process.env["VSOCKIT_ODD"] = "it's\n$HOME";
    const show = 'printf "[%s]" "$@" "$VSOCKIT_ODD"';
    const { code, stdout } = await vm(["--", "sh", "-c", show, "sh", ...odd]);
    const shown = [...odd, process.env["VSOCKIT_ODD"]].map((text) => `[${text}]`);
    assertEquals([code, stdout], [0, shown.join("")]);
    assertEquals((await vm(["--", "no-such-command"])).code, 127);
  },
);

test("vm streams the output as it comes", LIMIT, async () => {
  using results = new TempFolder();
  // The command goes on when the file is there, which is made when its first line is heard.
  const script = "echo first; until [ -e /results/heard ]; do sleep 0.1; done; echo second";
  const args = ["--results", results.path(), "--", "bash", "-c", script];
  await using guest = new GuestProcess(args);
  await guest.says("first\n");
  assertEquals(guest.stdout, "first\n");
  writeFileSync(results.path("heard"), "");
  const { code, stdout } = await guest.ended;
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
  await using guest = new GuestProcess(["--", "bash", "-c", "echo up; sleep 1000"]);
  await guest.says("up\n");
  guest.kill();
  assertEquals((await guest.ended).code, null);
});

test("vm that is interrupted says so by 130", LIMIT, async () => {
  await using guest = new GuestProcess(["--", "bash", "-c", "echo up; sleep 1000"]);
  await guest.says("up\n");
  guest.kill("SIGTERM");
  const { code, stderr } = await guest.ended;
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
  using results = new TempFolder();
  const script = "cd /results; echo 1234 > file; ln -s /etc/passwd link; chmod 4755 file";
  const args = ["--results", results.path(), "--", "bash", "-c", script];
  assertEquals((await vm(args)).code, 0);
  assertEquals(readFileSync(results.path("file"), "utf8"), "1234\n");
  assertEquals(statSync(results.path("file")).mode & 0o7000, 0);
  assertEquals(lstatSync(results.path("link")).isFile(), true);
});

test("vm with bad arguments says 125 and how to call it, and boots nothing", LIMIT, async () => {
  const bad: readonly (readonly string[])[] = [
    [],
    ["--flavour", "mild", "true"],
    ["--kernel", "6", "true"],
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

test("vm boots nothing where nobody listens on a socket that it is to use", LIMIT, async () => {
  using folder = new TempFolder();
  writeFileSync(folder.path("file"), "");
  const server = createServer().listen(folder.path("dead"));
  await once(server, "listening");
  renameSync(folder.path("dead"), folder.path("left")); // or close() would unlink it
  server.close();
  const bad: readonly (readonly [path: string, reason: RegExp])[] = [
    [folder.path("none"), /there is no such file/],
    [folder.path("left"), /nobody has a socket there/],
    [folder.path("file"), /nobody has a socket there/],
    [folder.path("x".repeat(120)), /must be at most 107 bytes/],
  ];
  for (const option of ["vhost-user", "control", "monitor"]) {
    for (const [path, reason] of bad) {
      const { code, stderr } = await vm([`--${option}`, path, "true"]);
      assertEquals(code, 125);
      assertMatch(stderr, /^Cannot [^]*\nusage: /);
      assertMatch(stderr, reason);
    }
  }
});
