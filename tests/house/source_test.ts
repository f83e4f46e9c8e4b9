import { test } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import { read, sourceFiles, withoutComments } from "./source.ts";

const LIBRARY = /^(mod\.ts|ffi\/|src\/|examples\/)/;
const BACKEND = /^ffi\/(backend_\w+|select)\.ts$/;
/** What runs in a Worker from its text can import no backend. */
const WORKER_TEXT = "src/kernel/reactor_worker.ts";

/** Those of the files that `where` chooses whose code has `pattern`. */
function occurrences(where: (path: string) => boolean, pattern: RegExp): string[] {
  const files = sourceFiles().filter(where);
  assertGreater(files.length, 0);
  return files.filter((path) => pattern.test(withoutComments(read(path))));
}

test("FFI of a runtime is named in ffi/backend_*.ts, and in the text of a Worker", () => {
  const names = /\bdlopen\b|bun:ffi|node:ffi/;
  const elsewhere = (path: string): boolean => LIBRARY.test(path) && !BACKEND.test(path);
  assertEquals(occurrences(elsewhere, names), [WORKER_TEXT]);
  assertGreater(occurrences((path) => BACKEND.test(path), names).length, 0);
});

test("library modules have no top-level await", () => {
  const waits = /^(?!\s|.*\basync\b).*\bawait\b/m; // deno fmt indents what is not top level
  const program = "src/cli/main.ts";
  const files = (path: string): boolean => /^(mod\.ts|ffi\/|src\/)/.test(path);
  assertEquals(occurrences(files, waits), [program]);
});

test("exports have names", () => {
  assertEquals(occurrences(() => true, /^export default\b/m), []);
});

test("files stay readable: 400 lines, 500 for tests", () => {
  const long = sourceFiles().filter((path) => {
    const limit = path.endsWith("_test.ts") ? 500 : 400;
    return read(path).split("\n").length - 1 > limit;
  });
  assertEquals(long, []);
});

test("comments stay within 100 columns", () => {
  const long = sourceFiles().flatMap((path) =>
    read(path).split("\n").flatMap((line, index) =>
      line.length > 100 && /^\s*(\*|\/\/|\/\*)/.test(line) ? [`${path}:${index + 1}`] : []
    )
  );
  assertEquals(long, []);
});

test("mod.ts is a list of at most 60 lines", () => {
  const text = read("mod.ts");
  const list = /^(\s*export (type )?\{[^{}]*\} from "\.\/[^"]+";)+\s*$/;
  assertEquals(text.split("\n").length - 1 <= 60, true);
  assertEquals(list.test(withoutComments(text)), true);
});
