/**
 * The JUnit XML that all runtimes can write.
 *
 * @module
 */
import { readFileSync } from "node:fs";

/** One test of a run, and how it ended. */
export interface TestCase {
  readonly name: string;
  /** Its file, from the top of the project; empty where it does not say. */
  readonly file: string;
  readonly end: "passed" | "failed" | "skipped";
}

/** All tests of the report at `path`; none where its process left no report. */
export function readReport(path: string): readonly TestCase[] {
  let xml = "";
  try {
    xml = readFileSync(path, "utf8");
  } catch {
    return []; // which its run has failed for
  }
  return parseReport(xml);
}

/** Reads JUnit XML; what is not closed in itself has a failure or a skip inside. */
export function parseReport(xml: string): readonly TestCase[] {
  const element = /<testcase\b((?:"[^"]*"|[^">])*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
  return Array.from(xml.matchAll(element), ([, attributes = "", inside = ""]) => {
    const attribute = (name: RegExp): string => unescaped(name.exec(attributes)?.[1] ?? "");
    const failed = /<(failure|error)\b/.test(inside);
    return {
      name: attribute(/\bname="([^"]*)"/),
      file: attribute(/\b(?:file|classname)="(?:[^"]*\/)?(tests\/[^"]*)"/),
      end: failed ? "failed" : inside.includes("<skipped") ? "skipped" : "passed",
    };
  });
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'" };

function unescaped(text: string): string {
  return text.replace(
    /&#(x?)([0-9a-f]+);|&(lt|gt|quot|apos);/gi,
    (_, hex, code, name) =>
      name === undefined
        ? String.fromCodePoint(parseInt(code, hex === "" ? 10 : 16))
        : ENTITIES[name.toLowerCase()]!,
  ).replaceAll("&amp;", "&");
}
