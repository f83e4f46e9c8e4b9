import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { FLAGS } from "../../src/cli/perf/options.ts";
import { CAPABILITIES } from "../../src/probe.ts";
import { vsockit } from "./captured.ts";

const LIMIT = { timeout: 60_000 };

/** Why there is no test of `shell`, if so. */
function lacks(shell: string): string | false {
  if (spawnSync(shell, ["--version"]).error === undefined) return false;
  return `no ${shell}: apt install ${shell}`;
}

/** What `shell` prints for `program`, in which `$SCRIPT` is the file of its completions. */
async function runShell(shell: string, program: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "vsockit-completions-"));
  try {
    const script = join(folder, "script");
    writeFileSync(script, (await vsockit(["completions", shell])).out);
    writeFileSync(join(folder, "a file"), "");
    const { status, stdout, stderr } = spawnSync(shell, ["-c", program], {
      cwd: folder,
      env: { ...process.env, SCRIPT: script, HOME: folder },
      encoding: "utf8",
    });
    assertEquals([status, stderr], [0, ""]);
    return stdout.split("\n").filter((line) => line !== "");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What bash offers for the last of `words`. */
function inBash(...words: readonly string[]): Promise<string[]> {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  return runShell(
    "bash",
    `compopt() { :; }
    source "$SCRIPT"
    complete -p vsockit > /dev/null || exit
    COMP_WORDS=(${quoted}) COMP_CWORD=${words.length - 1}
    _vsockit
    printf '%s\\n' "\${COMPREPLY[@]}"`,
  );
}

test("completions bash offers commands, flags, values, words, files", {
  ...LIMIT,
  skip: lacks("bash"),
}, async () => {
  assertEquals(await inBash("vsockit", "do"), ["doctor"]);
  assertEquals(await inBash("vsockit", "--"), ["--help", "--version"]);
  const all = await inBash("vsockit", "perf", "--");
  assertEquals(all, [...FLAGS.map(({ name }) => `--${name}`), "--help"]);
  assertEquals(await inBash("vsockit", "perf", "-z", ""), ["n", "y", "u", "a"]);
  assertEquals(await inBash("vsockit", "perf", "-m", ""), []);
  assertEquals(await inBash("vsockit", "test", "--mode", "s"), ["server"]);
  assertEquals(await inBash("vsockit", "doctor", ""), [...CAPABILITIES.keys()]);
  assertEquals(await inBash("vsockit", "doctor", "epoll", "io"), ["io_uring"]);
  assertEquals(await inBash("vsockit", "completions", ""), ["bash", "zsh", "fish"]);
  assertEquals(await inBash("vsockit", "perf", "--file", "a"), ["a file"]);
  assertEquals(await inBash("vsockit", "nonsense", ""), []);
  assertEquals(await inBash("vsockit", "help", "pe"), ["perf"]);
  assertEquals(await inBash("vsockit", "perf", "--mode", "="), ["n", "y", "u", "a"]);
  assertEquals(await inBash("vsockit", "perf", "--transport", "=", "l"), ["loopback"]);
});

test("completions fish offers commands, flags, values, words", {
  ...LIMIT,
  skip: lacks("fish"),
}, async () => {
  const offered = async (line: string): Promise<string[]> => {
    const lines = await runShell("fish", `source $SCRIPT; complete -C '${line}'`);
    return lines.map((line) => line.split(/=?\t/)[0] ?? "");
  };
  assertEquals(await offered("vsockit do"), ["doctor"]);
  assertEquals(await offered("vsockit --v"), ["--version"]);
  assertEquals(await offered("vsockit perf --v"), ["--verify"]);
  assertEquals(await offered("vsockit perf --me"), ["--megabytes"]);
  assertEquals(await offered("vsockit test --mode s"), ["server"]);
  assertEquals(await offered("vsockit doctor io_"), ["io_uring"]);
  assertEquals(await offered("vsockit completions z"), ["zsh"]);
  assertEquals(await offered("vsockit perf --file a"), ["a file"]);
  assertEquals(await offered("vsockit help pe"), ["perf"]);
});

test("completions zsh gives a script that zsh loads and offers from", {
  ...LIMIT,
  skip: lacks("zsh"),
}, async () => {
  // _arguments and _describe work inside of the line editor only, so they are looked over.
  const seen = await runShell(
    "zsh",
    `compdef() { print -r -- "compdef $*" }
    _describe() { print -rl -- "\${(@P)@[-1]}" }
    _arguments() { print -rl -- "$@" }
    source "$SCRIPT"
    words=(vsockit "") CURRENT=2; _vsockit
    words=(vsockit doctor "") CURRENT=3; _vsockit
    words=(vsockit test "") CURRENT=3; _vsockit
    words=(vsockit help "") CURRENT=3; _vsockit`,
  );
  assertEquals(seen[0], "compdef _vsockit vsockit");
  assertMatch(seen.join("\n"), /^--help:print this\n-V:print the version\n--version:/m);
  assertMatch(seen.join("\n"), /^doctor:say what this machine can do/m);
  assertMatch(seen.join("\n"), /^\*:word:\(runtime kernel .* wmem_max\)$/m);
  assertMatch(
    seen.join("\n"),
    /^--mode\[one end of the run; .*\]:client\|server:\(client server\)$/m,
  );
  assertMatch(seen.join("\n"), /^\*:word:\(perf test cat .* completions\)$/m);
  assertMatch(seen.join("\n"), /^\*--skip\[.*\]:ID:$/m);
});

test("completions ends with 2 for a shell that it does not know", async () => {
  for (const args of [[], ["tcsh"], ["bash", "zsh"]]) {
    const { code, out } = await vsockit(["completions", ...args]);
    assertEquals([code, out], [2, ""]);
  }
});
