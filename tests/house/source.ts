/**
 * The project's own files, as the house tests read them.
 *
 * @module
 */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./toolchain.ts";

/** Reads a file of the project. */
export function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Every TypeScript file, by its path from the top, e.g. `src/virtio/packet.ts`. */
export function sourceFiles(): string[] {
  return globSync(["mod.ts", "{ffi,src,examples,tests,bench}/**/*.ts"], { cwd: ROOT }).sort();
}

/** `text` without its comments; `"//"` within a string on one line stays. */
export function withoutComments(text: string): string {
  return text.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\/\/.*|\/\*[\s\S]*?\*\//g,
    (_, string?: string) => string ?? "",
  );
}

const SPECIFIERS: readonly RegExp[] = [
  /^(?:import|export)\s[^;"]*?\bfrom "([^"]+)"/gm,
  /^import "([^"]+)"/gm,
  /\bimport\("([^"]+)"\)/g,
];
const SCRIPT_URL = /\bnew URL\("(?:\.\/)?([^"]+\.ts)"/g;

/** What a file imports, statically or not, and the scripts it starts from beside itself. */
export function specifiers(path: string): string[] {
  const code = withoutComments(read(path));
  const imports = SPECIFIERS.flatMap((form) => Array.from(code.matchAll(form)));
  const scripts = Array.from(code.matchAll(SCRIPT_URL));
  return [
    ...imports.map(([, specifier = ""]) => specifier),
    ...scripts.map(([, url]) => `./${url}`), // a URL is relative without saying so
  ];
}

const LOADS = /^(?:import|export)\s(?!type\s)[^;"]*?\bfrom "([^"]+)"/gm;

/** What is loaded with `path`: files of the project, by their path from the top, and bare names. */
export function loads(path: string, found: Set<string> = new Set()): Set<string> {
  for (const [, specifier = ""] of withoutComments(read(path)).matchAll(LOADS)) {
    const to = specifier.startsWith(".") ? join(path, "..", specifier) : specifier;
    if (found.has(to)) continue;
    found.add(to);
    if (specifier.startsWith(".")) loads(to, found);
  }
  return found;
}

/** The text of each ```` ```language ```` block of a Markdown file. */
export function codeBlocks(path: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return Array.from(read(path).matchAll(fence), ([, code]) => code ?? "");
}
