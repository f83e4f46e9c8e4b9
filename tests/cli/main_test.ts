/** What `vsockit` does before it comes to a subcommand. */
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { COMMANDS } from "../../src/cli/commands.ts";
import { VERSION } from "../../src/cli/version.ts";
import { read } from "../house/source.ts";
import { vsockit } from "./captured.ts";

test("vsockit --version prints the version of deno.json and package.json", async () => {
  for (const file of ["deno.json", "package.json"]) {
    assertEquals(JSON.parse(read(file)).version, VERSION, file);
  }
  for (const flag of ["--version", "-V"]) {
    assertEquals(await vsockit([flag]), { code: 0, out: `vsockit ${VERSION}\n`, err: "" });
  }
});

test("vsockit help lists the commands, and what else there is", async () => {
  const general = await vsockit(["--help"]);
  assertMatch(general.out, /^Usage: vsockit COMMAND/);
  assertMatch(general.out, /vsockit help COMMAND [^]*vsockit --version or -V/);
  for (const args of [["help"], ["-h"], ["help", "help"], ["help", "--help"]]) {
    assertEquals(await vsockit(args), general);
  }
});

test("vsockit COMMAND --help is listed there, and an operand behind --", async () => {
  for (const { name, load } of COMMANDS) {
    const { help } = await load();
    for (const flag of ["-h", "--help"]) {
      assertEquals(await vsockit([name, flag, "--", "x"]), { code: 0, out: help, err: "" });
      assertEquals((await vsockit([name, "--", flag])).code, 2, name);
    }
    assertMatch(help, /^ {2}-h, --help {2,}print this$/m);
  }
});

test("vsockit help COMMAND prints the help of that command", async () => {
  for (const { name, load } of COMMANDS) {
    const { help } = await load();
    assertEquals(await vsockit(["help", name]), { code: 0, out: help, err: "" });
  }
  for (
    const [words, said] of [
      ["nonsense", /^vsockit: Unknown command: nonsense\n/],
      ["cat 2:1", /^vsockit help: Unexpected operand: 2:1\n/],
      ["cat --help -l", /^vsockit help: Unexpected operand: -l\n/],
    ] as const
  ) {
    const { code, out, err } = await vsockit(["help", ...words.split(" ")]);
    assertEquals([code, out], [2, ""], words);
    assertMatch(err, said);
  }
});

test("vsockit COMMAND takes -h among letters that are joined", async () => {
  for (const args of [["cat", "-lh", "2:1"], ["ss", "-hl"], ["proxy", "-vh"]]) {
    const { code, out } = await vsockit(args);
    assertEquals([code, out.startsWith(`Usage: vsockit ${args[0]} `)], [0, true]);
  }
});
