import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Address } from "../../../src/address.ts";
import { fittingIn, parseOptions } from "../../../src/cli/proxy/options.ts";
import { parsePattern } from "../../../src/cli/proxy/pattern.ts";
import { UsageError } from "../../../src/cli/args/values.ts";

const [LISTEN, TARGET] = ["unix:/run/l", "unix:/run/t"];

function refuses(says: string, ...args: string[]): void {
  assertThrows(() => parseOptions(args), UsageError, says);
}

test("parseOptions() of proxy reads two addresses and has defaults", () => {
  const options = parseOptions(["tcp:127.0.0.1:80", "hvsock:/run/fc.sock:1024"]);
  assertEquals(options.listen, { hostname: "127.0.0.1", port: 80 });
  assertEquals(options.target, { path: "/run/fc.sock", port: 1024 });
  assertEquals(options.type, "stream");
  assertEquals([options.maxConnections, options.drainTimeoutMs], [512, 30_000]);
  assert(options.allows({ cid: 9, port: 9 }));
});

test("fittingIn() leaves descriptors for both ends of each connection, and for the rest", () => {
  assertEquals([Infinity, 1 << 20, 1_024, 80, 20].map(fittingIn), [512, 512, 480, 8, 1]);
});

test("parseOptions() of proxy refuses to listen for all by accident", () => {
  const open = ["vsock:any:5000", ":5000", "vsock:-1:5000", "tcp:0.0.0.0:80", "tcp:[::]:80"];
  open.push("tcp:[0:0:0:0:0:0:0:0]:80", "tcp:[::ffff:0.0.0.0]:80", "vsock:4294967295:1");
  const ips = ["::FFFF:0.0.0.0", "::ffff:0:0", "0:0:0:0:0:ffff:0:0", "0::0", "::%lo", "::%1"];
  ips.push("::0.0.0.0", "0:0:0:0:0:0:0.0.0.0");
  open.push(...ips.map((ip) => `tcp:[${ip}]:80`));
  for (const listen of open) {
    refuses("must have --allow PEER, or --open", listen, TARGET);
    parseOptions(["--open", listen, TARGET]);
    parseOptions(["--allow", "vsock:3", listen, TARGET]);
  }
  for (
    const listen of [
      "vsock:2:5000",
      "tcp:127.0.0.1:80",
      "tcp:[::1]:80",
      "unix:/run/l",
      "tcp:[::ff00:0:0]:80",
    ]
  ) {
    parseOptions([listen, TARGET]);
  }
});

test("parseOptions() of proxy refuses what it cannot obey", () => {
  refuses("must have a LISTEN and a TARGET address: current value is nothing");
  refuses("must have a LISTEN and a TARGET", TARGET);
  refuses("must have a LISTEN and a TARGET", TARGET, LISTEN, TARGET);
  refuses("Cannot use LISTEN: Cannot parse address", "nowhere", TARGET);
  refuses("Cannot use TARGET: Cannot parse address", TARGET, "vsock:x:1");
  refuses("Cannot use LISTEN: Cannot use hostname: must be an IP", "tcp:localhost:0", TARGET);
  for (const path of ["unix:", "hvsock:/"].map((scheme) => scheme + "x".repeat(125))) {
    const long = path.startsWith("unix") ? path : `${path}:80`;
    refuses("Cannot use LISTEN: Cannot use path: must be at most 107 bytes", long, TARGET);
    refuses("Cannot use TARGET: Cannot use path: must be at most 107 bytes", TARGET, long);
  }
  refuses("must be of type stream like LISTEN", "vsock-stream:2:1", "vsock-seqpacket:2:1");
  refuses("Cannot use TARGET: must be vsock or unix", "vsock-seqpacket:2:1", "tcp:a:1");
  refuses("Cannot use LISTEN: must be vsock or unix", "hvsock:v:1", "vsock-seqpacket:2:1");
  refuses("Cannot use --max-connections: must be an integer", "-n", "0", LISTEN, TARGET);
  refuses("Cannot use --drain-timeout: must be an integer", "--drain-timeout", "x", LISTEN, TARGET);
  refuses("Cannot use --allow: must be vsock:CID", "--allow", "3", LISTEN, TARGET);
  assertEquals(parseOptions(["vsock:2:1", "unix-seqpacket:@a"]).type, "seqpacket");
});

/** What is one place, however it is written. */
const SAME: readonly (readonly [listen: string, target: string])[] = [
  ["unix:/run/t", "unix:/run/t"],
  ["unix:a", "unix:./b/../a"],
  ["unix:@a", "unix:@a"],
  ["hvsock:v:1024", "unix:v_1024"],
  ["unix:v", "hvsock:v:1024"],
  ["vsock:2:5000", "vsock:host:5000"],
  ["vsock:any:5000", "vsock:1:5000"],
  ["tcp:127.0.0.1:80", "tcp:127.0.0.1:80"],
  ["tcp:127.0.0.1:80", "tcp:LocalHost:80"],
  ["tcp:[::1]:80", "tcp:localhost:80"],
  ["tcp:[::1]:80", "tcp:[0:0:0:0:0:0:0:1]:80"],
  ["tcp:127.0.0.1:80", "tcp:[::ffff:127.0.0.1]:80"],
  ["tcp:127.0.0.1:80", "tcp:0.0.0.0:80"],
  ["tcp:[::1]:80", "tcp:[::]:80"],
  ["tcp:0.0.0.0:80", "tcp:127.0.0.2:80"],
  ["tcp:0.0.0.0:80", "tcp:0.0.0.0:80"],
  ["tcp:[::]:80", "tcp:0.0.0.0:80"],
  ["tcp:[::]:80", "tcp:[::]:80"],
  ["tcp:[::]:80", "tcp:127.0.0.1:80"],
  ["tcp:[::]:80", "tcp:[::1]:80"],
  ["tcp:[fe80::1%eth0]:80", "tcp:[fe80::1%eth0]:80"],
];

const OTHERS: readonly (readonly [listen: string, target: string])[] = [
  ["hvsock:v:1024", "hvsock:v:1024"], // from the VM, and into it
  ["unix:a", "unix:@a"],
  ["unix:@a", "unix:@./a"],
  ["unix:/80", "tcp:127.0.0.1:80"],
  ["vsock:any:80", "tcp:127.0.0.1:80"],
  ["vsock:any:5000", "vsock:2:5000"], // the host, where this is a guest
  ["vsock:2:5000", "vsock:2:5000?flags=1"],
  ["tcp:127.0.0.1:80", "tcp:127.0.0.1:81"],
  ["tcp:127.0.0.1:80", "tcp:127.0.0.2:80"],
  ["tcp:127.0.0.1:80", "tcp:example.org:80"],
  ["tcp:127.0.0.2:80", "tcp:0.0.0.0:80"],
  ["tcp:127.0.0.1:80", "tcp:[::]:80"],
  ["tcp:0.0.0.0:80", "tcp:[::]:80"],
  ["tcp:0.0.0.0:80", "tcp:[::1]:80"],
  ["tcp:0.0.0.0:80", "tcp:10.0.0.1:80"],
  ["tcp:[fe80::1%eth0]:80", "tcp:[fe80::1%eth1]:80"],
];

test("parseOptions() of proxy refuses a TARGET that leads back, however it is written", () => {
  for (const ends of SAME) {
    refuses("Cannot use TARGET: must be another address than LISTEN", "--open", ...ends);
  }
  for (const ends of OTHERS) parseOptions(["--open", ...ends]);
});

test("parseOptions() cuts --allow at commas before a pattern, not at those of a path", () => {
  const lines = [
    ["--allow", "unix:/a,b", "-a", "vsock:3", "-a", "tcp:10.0.0.1"],
    ["--allow", "unix:/a,b,vsock:3,tcp:10.0.0.1"],
  ];
  for (const line of lines) {
    const { allows } = parseOptions([...line, LISTEN, TARGET]);
    const peers = [{ path: "/a,b" }, { cid: 3, port: 9 }, { hostname: "10.0.0.1", port: 9 }];
    assertEquals(peers.map(allows), [true, true, true]);
    assertEquals([{ path: "/a" }, { path: "/a,b,vsock:3" }].map(allows), [false, false]);
  }
  const { allowsTarget } = parseOptions(["--allow-target", "unix:/a,b", LISTEN, TARGET]);
  assertEquals(["/a,b", "/a"].map((path) => allowsTarget({ path })), [true, false]);
  for (const wrong of [["vsock:3,4"], ["unix:/a", "-a", "b"], ["vsock:3,"], [""]]) {
    refuses("Cannot use --allow: must be vsock:CID", "--allow", ...wrong, LISTEN, TARGET);
  }
});

const MATCHES: readonly (readonly [pattern: string, address: Address, matches: boolean])[] = [
  ["vsock:3", { cid: 3, port: 99 }, true],
  ["vsock:3", { cid: 4, port: 99 }, false],
  ["vsock:*:99", { cid: 4, port: 99 }, true],
  ["vsock:host:98", { cid: 2, port: 99 }, false],
  ["vsock:3", { hostname: "3", port: 3 }, false],
  ["tcp:10.0.0.0/8", { hostname: "10.2.3.4", port: 1 }, true],
  ["tcp:10.0.0.0/8", { hostname: "::ffff:10.2.3.4", port: 1 }, true],
  ["tcp:10.0.0.0/8:443", { hostname: "10.2.3.4", port: 80 }, false],
  ["tcp:10.0.0.0/8", { hostname: "11.2.3.4", port: 1 }, false],
  ["tcp:127.0.0.1", { hostname: "127.0.0.1", port: 1 }, true],
  ["tcp:[fe80::]/10", { hostname: "fe80::1%eth0", port: 1 }, true],
  ["tcp:[::1]:80", { hostname: "::1", port: 80 }, true],
  ["tcp:[::1]:80", { hostname: "127.0.0.1", port: 80 }, false],
  ["tcp:*:80", { hostname: "example.org", port: 80 }, true],
  ["unix:/run/a", { path: "/run/a" }, true],
  ["unix:/run/a", { path: "/run/a", port: 1 }, false],
  ["unix:@a", { path: "\0a" }, true],
  ["hvsock:*", { path: "/run/a", port: 1 }, true],
  ["hvsock:/run/a", { path: "/run/a" }, false],
];

test("parsePattern() tells which addresses are meant", () => {
  for (const [pattern, address, matches] of MATCHES) {
    assertEquals(parsePattern("--allow", pattern)(address), matches, pattern);
  }
});

test("parsePattern() refuses what is no pattern", () => {
  const wrong = ["", "3", "vsock:", "vsock:x", "vsock:3:x", "vsock:3:4:5", "tcp:name", "tcp:1.2.3"];
  wrong.push("tcp:10.0.0.0/33", "tcp:::1", "tcp:[::1]/129", "tcp:10.0.0.1:65536", "udp:10.0.0.1");
  for (const text of wrong) {
    assertThrows(() => parsePattern("--allow", text), UsageError, "Cannot use --allow", text);
  }
});
