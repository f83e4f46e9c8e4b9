/**
 * Debian's packages, unpacked into a folder instead of installed: that needs no root.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MINUTES = 60_000;
const CURE = "it takes an apt that reaches the archive of Debian 12 or 13 (amd64) once; " +
  "QEMU may be had otherwise, by apt-get install qemu-system-x86";

/** What the laboratory needs is not here and cannot be fetched; the message says the cure. */
export class Unavailable extends Error {
  /** Always `"Unavailable"`. */
  override readonly name: string = "Unavailable";
}

/**
 * What this machine's apt knows, or other suites of the same archives, with package lists of their
 * own, read just now.
 */
export class Apt implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "vsockit-apt-"));
  #sources: readonly string[] = [];

  /**
   * Reads the package lists. Throws {@linkcode Unavailable} where that fails.
   *
   * @param suites Instead of those that this machine's apt knows: archive and suite of each, e.g.
   * `debian-security bookworm-security`.
   */
  constructor(suites: readonly string[] = []) {
    mkdirSync(join(this.#folder, "lists", "partial"), { recursive: true });
    mkdirSync(join(this.#folder, "cache", "archives", "partial"), { recursive: true });
    try {
      if (suites.length > 0) this.#sources = this.#sourcesOf(suites);
      this.#apt("apt-get", ["update"]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Names with versions in them, the newest last. */
  static sorted(names: readonly string[]): string[] {
    return names.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  }

  /** The newest package, by its version, of those whose whole name fits `pattern`. */
  newest(pattern: RegExp): string {
    const found = this.all(pattern).at(-1);
    if (found !== undefined) return found;
    throw unavailable(`apt knows no package ${pattern.source}`);
  }

  /** The packages whose whole name fits `pattern`, the newest last. */
  all(pattern: RegExp): string[] {
    const names = this.#apt("apt-cache", ["pkgnames"]).split("\n");
    return Apt.sorted(names.filter((name) => pattern.test(name)));
  }

  /** `name` and all that it depends on, but for what is installed. */
  missing(name: string): string[] {
    const plan = this.#apt("apt-get", ["-s", "--no-install-recommends", "install", name]);
    return Array.from(plan.matchAll(/^Inst (\S+)/gm), ([, found]) => found ?? "");
  }

  /** Downloads the packages and unpacks them over each other into `folder`. */
  unpack(packages: readonly string[], folder: string): void {
    console.error(`vm: fetching ${packages.join(" ")}`);
    const debs = mkdtempSync(join(this.#folder, "debs-"));
    this.#apt("apt-get", ["download", ...packages], debs);
    for (const deb of readdirSync(debs)) {
      execFileSync("dpkg", ["-x", join(debs, deb), folder], { timeout: 10 * MINUTES });
    }
  }

  /** Deletes the lists. */
  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Settings that have apt read these suites alone, and hold them to Debian's own keys. */
  #sourcesOf(suites: readonly string[]): string[] {
    const uris = this.#apt("apt-get", ["update", "--print-uris"]);
    const known = Array.from(uris.matchAll(/^'(\S+)\/dists\//gm), ([, archive]) => archive!);
    const lines = suites.map((wanted) => {
      const [name, suite] = wanted.split(" ");
      const archive = known.find((uri) => uri.endsWith(`/${name}`));
      if (archive === undefined) throw unavailable(`apt knows no archive ${name}`);
      return `deb [arch=amd64 signed-by=${KEYS}] ${archive} ${suite} main\n`;
    });
    const list = join(this.#folder, "sources.list");
    writeFileSync(list, lines.join(""));
    return [`Dir::Etc::SourceList=${list}`, "Dir::Etc::SourceParts=/dev/null"];
  }

  #apt(tool: "apt-get" | "apt-cache", args: readonly string[], cwd: string = "/"): string {
    const settings = [
      ...this.#sources,
      `Dir::State::Lists=${this.#folder}/lists`,
      `Dir::Cache=${this.#folder}/cache`,
      "Acquire::Retries=3",
      "Acquire::http::Timeout=60",
      "APT::Sandbox::User=root", // the folder is ours alone
    ].flatMap((setting) => ["-o", setting]);
    try {
      return execFileSync(tool, [...settings, "-q", ...args], {
        cwd,
        encoding: "utf8",
        maxBuffer: 1 << 26,
        stdio: ["ignore", "pipe", "pipe"],
        timeout: 15 * MINUTES,
      });
    } catch (cause) {
      throw unavailable(`${tool} ${args.join(" ")} failed`, cause);
    }
  }
}

function unavailable(reason: string, cause?: unknown): Unavailable {
  const message = `Cannot fetch what a guest is made of: ${reason}: ${CURE}`;
  return new Unavailable(message, { cause });
}
