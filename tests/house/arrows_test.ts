import { join } from "node:path/posix";
import { test } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import { OWN_NAMES } from "../std/names.ts";
import { loads, read, sourceFiles, specifiers } from "./source.ts";

/** What the files of a room may import; a room is the first prefix that a path has. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  "ffi/": ["ffi/"],
  "src/virtio/": ["src/virtio/", "ffi/abi/", "ffi/errno.ts"],
  "src/cli/": ["src/", "ffi/", "mod.ts", "node:", "@std/cli/parse-args", "d3-"],
  "src/": ["src/", "ffi/", "node:"],
  "mod.ts": ["src/", "ffi/"],
  "examples/": ["@vsockit/", "node:", "@std/"],
  "tests/house/bundle.ts": ["tests/", "node:", "esbuild"],
  "tests/": ["tests/", "bench/", "examples/", "mod.ts", "src/", "ffi/", "node:", "@"],
  "bench/": [
    "bench/",
    "tests/helpers/",
    "tests/house/",
    "tests/vm/",
    "mod.ts",
    "src/",
    "ffi/",
    "node:",
    "@",
  ],
};

/** Named as what a guest runs, and not run. */
const NOT_PROGRAMS: ReadonlySet<string> = new Set([
  "tests/vm/control_guest.ts",
  "tests/vm/in_guest.ts",
]);

function room(path: string): string | undefined {
  return Object.keys(ROOMS).find((prefix) => path.startsWith(prefix));
}

/** What is wrong with `from` importing `to`, both as paths from the top or bare names. */
function fault(from: string, to: string): string | undefined {
  const home = room(from) ?? "nowhere";
  const allowed = ROOMS[home]?.some((prefix) => to.startsWith(prefix)) ?? false;
  // Only tests, examples, bench and the command itself stand above the command.
  const intoCli = to.startsWith("src/cli/") && (home === "src/" || home === "mod.ts");
  return allowed && !intoCli ? undefined : `${from} imports ${to}`;
}

test("imports follow ffi <- src <- mod.ts <- src/cli, examples, tests, bench", () => {
  const faults: string[] = [];
  let arrows = 0;
  for (const from of sourceFiles()) {
    for (const specifier of specifiers(from)) {
      const to = specifier.startsWith(".") ? join(from, "..", specifier) : specifier;
      const wrong = fault(from, to);
      if (wrong !== undefined) faults.push(wrong);
      arrows += 1;
    }
  }
  assertEquals(faults, []);
  assertGreater(arrows, 100);
});

test("what a guest runs ends elsewhere before it does anything: CIDs 1 and 2 may be another's", () => {
  const forGuest =
    /^(tests\/guest\/.*_(test|child|worker)|tests\/(host|vm)\/.*_guest|bench\/device_guest\w*)\.ts$/;
  const files = sourceFiles().filter((path) => forGuest.test(path) && !NOT_PROGRAMS.has(path));
  const unguarded = files.filter((path) => {
    const [, first = ""] = /^import (?:[^;"]*? from )?"([^"]+)"/m.exec(read(path)) ?? [];
    return join(path, "..", first) !== "tests/vm/in_guest.ts";
  });
  assertEquals(unguarded, []);
  assertGreater(files.length, 20);
});

test("imports of the examples are public names", () => {
  const own = sourceFiles().filter((path) => path.startsWith("examples/")).flatMap(specifiers)
    .filter((specifier) => specifier.startsWith("@vsockit/"));
  assertEquals(own.filter((specifier) => !OWN_NAMES.has(specifier)), []);
  assertGreater(own.length, 0);
});

test("mod.ts loads no module of Node before a call needs it: that takes longer than all else", () => {
  const loaded = Array.from(loads("mod.ts"));
  assertEquals(loaded.filter((name) => name.startsWith("node:")), []);
  assertGreater(loaded.length, 100);
});

test("vsockit loads a subcommand when it is asked for, and the list of them without any", () => {
  const loaded = Array.from(loads("src/cli/program.ts"));
  assertEquals(loaded.filter((path) => path.endsWith("/command.ts")), ["src/cli/command.ts"]);
  assertEquals(loaded.filter((path) => path.startsWith("src/loopback/")), []);
});
