import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Address } from "../../src/address.ts";
import { parseAddress, type ParsedAddress, stringifyAddress } from "../../src/address_text.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import { seeded } from "../../src/loopback/random.ts";

const ANY = 4294967295;

const READ: readonly (readonly [text: string, address: Address, type?: ParsedAddress["type"]])[] = [
  ["vsock://2:1024", { cid: 2, port: 1024 }],
  ["vsock:2:1024", { cid: 2, port: 1024 }],
  ["2:1024", { cid: 2, port: 1024 }],
  ["host:1024", { cid: 2, port: 1024 }],
  [":1024", { cid: ANY, port: 1024 }],
  ["vsock::1024", { cid: ANY, port: 1024 }],
  ["vsock:any:any", { cid: ANY, port: ANY }],
  ["-1:-1", { cid: ANY, port: ANY }],
  ["vsock:hypervisor:0", { cid: 0, port: 0 }],
  ["vsock:local:4294967295", { cid: 1, port: ANY }],
  ["vsock://5:9?flags=1", { cid: 5, port: 9, flags: 1 }],
  ["vsock-stream:4294967295:1", { cid: ANY, port: 1 }, "stream"],
  ["vsock-seqpacket:local:5000", { cid: 1, port: 5000 }, "seqpacket"],
  ["vsock-seqpacket://3:5000", { cid: 3, port: 5000 }, "seqpacket"],
  ["vsock/3", { cid: 3, port: 22 }],
  ["vsock%3", { cid: 3, port: 22 }],
  ["vsock/host:2222", { cid: 2, port: 2222 }],
  ["vsock/3:2222?flags=1", { cid: 3, port: 2222, flags: 1 }],
  ["vsock-mux/run/fc.sock", { path: "/run/fc.sock", port: 22 }],
  ["vsock-mux//run/fc.sock", { path: "/run/fc.sock", port: 22 }],
  ["vsock-mux/./fc.sock:2222", { path: "./fc.sock", port: 2222 }],
  ["vsock-mux%run%fc.sock", { path: "/run%fc.sock", port: 22 }],
  ["hvsock:///run/fc.sock:1024", { path: "/run/fc.sock", port: 1024 }],
  ["hvsock:/run/fc.sock:1024", { path: "/run/fc.sock", port: 1024 }],
  ["hvsock://fc.sock:any", { path: "fc.sock", port: ANY }],
  ["hvsock:///run/a:b:7", { path: "/run/a:b", port: 7 }],
  ["hvsock:@vm:7", { path: "\0vm", port: 7 }],
  ["tcp://example.org:80", { hostname: "example.org", port: 80 }],
  ["tcp:127.0.0.1:0", { hostname: "127.0.0.1", port: 0 }],
  ["tcp:[::1]:80", { hostname: "::1", port: 80 }],
  ["tcp://[fe80::1%eth0]:65535", { hostname: "fe80::1%eth0", port: 65535 }],
  ["unix:/run/app.sock", { path: "/run/app.sock" }],
  ["unix:///run/app.sock:1", { path: "/run/app.sock:1" }],
  ["unix:////run", { path: "//run" }],
  ["unix:@abstract", { path: "\0abstract" }],
  ["unix:@with\0NUL", { path: "\0with\0NUL" }],
  ["unix:./@file", { path: "./@file" }],
  ["unix-seqpacket:/run/app.sock", { path: "/run/app.sock" }, "seqpacket"],
];

test("parseAddress() reads every way of writing an address", () => {
  for (const [text, address, type] of READ) {
    assertEquals(parseAddress(text), type === undefined ? { address } : { address, type }, text);
  }
});

test("stringifyAddress() writes what parseAddress() reads as the same", () => {
  for (const [, address, type] of READ) {
    const parsed = type === undefined ? { address } : { address, type };
    assertEquals(parseAddress(stringifyAddress(address, type)), parsed);
  }
});

test("stringifyAddress() refuses a type that parseAddress() would not read", () => {
  for (const type of ["dgram", "", null, 5]) {
    const write = (): string => stringifyAddress({ cid: 2, port: 1 }, type as "stream");
    assertThrows(write, TypeError, 'Cannot use type: must be "stream" or "seqpacket"');
  }
});

test("stringifyAddress() keeps a path that starts with @ from becoming an abstract name", () => {
  assertEquals(stringifyAddress({ path: "@file" }), "unix://./@file");
  assertEquals(stringifyAddress({ path: "@file", port: 1 }), "hvsock://./@file:1");
});

test("connect() does not take a path that starts with @ for the abstract name that is allowed", async () => {
  const name = `vsockit-${crypto.randomUUID()}`;
  const codeOf = async (path: string): Promise<string> =>
    (await assertRejects(() => connect({ path }, { permissions: [`@${name}`] }), VsockError)).code;
  assertEquals([await codeOf(`@${name}`), await codeOf(`\0${name}`)], ["EACCES", "ECONNREFUSED"]);
});

test("stringifyAddress() puts any hostname with a colon in brackets", () => {
  for (const hostname of ["::1", "fe80::1%br_lan", "no:name"]) {
    const text = stringifyAddress({ hostname, port: 80 });
    assertEquals(text, `tcp://[${hostname}]:80`);
    assertEquals(parseAddress(text), { address: { hostname, port: 80 } });
  }
});

test("connect() and listen() refuse a hostname that can be none, such as the [::1] of a URL", async () => {
  for (const hostname of ["[::1]", "a b", "a/b", "*", "a\0b", "http://a"]) {
    const address = { hostname, port: 80 };
    await assertRejects(() => connect(address), RangeError, "without brackets");
    assertThrows(() => listen(address), RangeError, "without brackets");
    assertThrows(() => stringifyAddress(address), RangeError, "without brackets");
  }
});

test("stringifyAddress() refuses a type that the family does not have", () => {
  assertThrows(() => stringifyAddress({ hostname: "::1", port: 1 }, "seqpacket"), TypeError, "tcp");
  assertThrows(() => stringifyAddress({ path: "a", port: 1 }, "seqpacket"), TypeError, "hvsock");
  assertEquals(stringifyAddress({ path: "a", port: 1 }, "stream"), "hvsock://a:1");
});

const WRONG: readonly (readonly [text: string, says: string])[] = [
  ["", "address at column 1 must start with vsock:, hvsock:, tcp: or unix:, or be CID:PORT"],
  ["1024", "address at column 1 must start with"],
  ["http://example.org", "address at column 1 must start with"],
  ["/run/app.sock", "address at column 1 must start with"],
  ["vsock://2", "address at column 9 must be CID:PORT: current value is 2"],
  ["vsock://two:1024", "CID at column 9 must be a number up to 4294967295, or any, hypervisor"],
  ["localhost:80", "local or host; over TCP it is tcp:localhost:80: current value is localhost"],
  ["vsock:localhost:80", "local or host: current value is localhost"],
  ["vsock:*:80", "or any, hypervisor, local or host: current value is *"],
  ["vsock:2:0x10", "port at column 9 must be a number up to 4294967295, or any"],
  ["vsock:2:", "port at column 9 must be a number up to 4294967295, or any: current value is no"],
  ["vsock:2:1.5", "current value is 1.5"],
  ["vsock:2: 5", "current value is  5"],
  ["vsock:2:-2", "current value is -2"],
  ["vsock:2:3?to=1", "what follows ? at column 11 must be flags=1: current value is to=1"],
  ["vsock-dgram:2:1024", "type at column 7 must be stream or seqpacket, as nothing here has"],
  ["vsock-raw:2:1024", "CID at column 1"],
  ["hvsock:///run/fc.sock", "address at column 10 must be PATH:PORT: current value is /run/fc"],
  ["hvsock:///run/fc.sock:x", "port at column 23 must be a number up to 4294967295"],
  ["hvsock://:5", "path at column 10 must not be empty"],
  ["unix:", "path at column 6 must not be empty or have a NUL: current value is nothing"],
  ["unix:/a\0b", "path at column 6 must not be empty or have a NUL"],
  ["vsock/3:ssh", "port at column 9 must be a number up to 4294967295, or any: current value is s"],
  ["vsock/3:", "port at column 9 must be a number up to 4294967295, or any: current value is no"],
  ["vsock-mux/a\0b", "path at column 10 must not be empty or have a NUL: current value is /a"],
  ["tcp:80", "address at column 5 must be HOST:PORT"],
  ["tcp::80", "must be a name or an IP; 0.0.0.0 and [::] are any: current value is nothing"],
  ["tcp:*:80", "must be a name or an IP; 0.0.0.0 and [::] are any: current value is *"],
  ["tcp://*.org:80", "host at column 7 must be a name or an IP"],
  ["tcp:a/b:80", "host at column 5 must be a name or an IP"],
  ["tcp:::1:80", "IPv6 address at column 5 must stand in brackets: current value is ::1"],
  ["tcp:a:any", "port at column 7 must be a number up to 65535: current value is any"],
];

test("parseAddress() says which part is wrong, and where it is", () => {
  for (const [text, says] of WRONG) {
    assertThrows(() => parseAddress(text), TypeError, says, text);
  }
  const says = 'Cannot parse address "vsock://2:4294967296": port at column 11 must be';
  assertThrows(() => parseAddress("vsock://2:4294967296"), RangeError, says);
  assertThrows(() => parseAddress("tcp:a:65536"), RangeError, "port at column 7");
  assertThrows(() => parseAddress("vsock-mux/a:4294967296"), RangeError, "port at column 13");
  assertThrows(() => parseAddress("99999999999:1"), RangeError, "CID at column 1");
  assertThrows(() => parseAddress(7 as unknown as string), TypeError, "must be a string");
});

test("parseAddress() reads or refuses any text, and what it reads it can write", () => {
  const random = seeded(20_251);
  const words = ["vsock", "hvsock", "tcp", "unix", "-seqpacket", ":", "/", "//", "2", "-1", "any"];
  words.push("[", "]", "@", "%", "?flags=1", "\0", "ß", "host", "65535", ".", "-", " ");
  let read = 0;
  for (let turn = 0; turn < 20_000; turn++) {
    const one = (of: readonly string[]): string => of[Math.floor(random() * of.length)]!;
    let text = one(["", "vsock:", "hvsock://", "tcp:", "unix:", "unix-stream:"]);
    while (random() < 0.8) text += one(words);
    try {
      const { address, type } = parseAddress(text);
      assertEquals(parseAddress(stringifyAddress(address, type)).address, address, text);
      read++;
    } catch (error) {
      assert(error instanceof TypeError || error instanceof RangeError, `${text}: ${error}`);
      assert(/^Cannot (parse address|use) /.test(error.message), error.message);
    }
  }
  assert(read > 500, `only ${read} were addresses`);
});

test("connect() and listen() take members that are undefined for none, as of options", async () => {
  const transport = "loopback";
  const address = { cid: 1, port: 4303, path: undefined, hostname: undefined };
  using listener = listen(address, { transport });
  const localAddress = { cid: 1, port: 4304, path: undefined };
  using near = await connect(address, { transport, localAddress });
  using _far = await listener.accept();
  assertEquals(near.localAddr, { transport: "vsock", cid: 1, port: 4304 });
  const taken = connect(address, { transport, localAddress });
  await assertRejects(() => taken, VsockError, "bind 1:4304");
  assertEquals(stringifyAddress({ path: "a", hostname: undefined } as Address), "unix://a");
  const none = { cid: undefined, port: 1 } as unknown as Address;
  assertThrows(() => stringifyAddress(none), TypeError, "must have a cid, a hostname or a path");
  const half = { path: "a", port: undefined } as unknown as Address;
  assertThrows(() => stringifyAddress(half), TypeError, "Cannot use port: must be a number");
});

test("connect() and listen() take an address as text, its type with it", async () => {
  const transport = "loopback";
  using listener = listen("vsock-seqpacket:local:4301", { transport });
  using near = await connect("vsock-seqpacket://1:4301", { transport });
  using far = await listener.accept();
  assertEquals([near.type, far.type], ["seqpacket", "seqpacket"]);
  assertEquals(near.remoteAddr, { transport: "vsock", cid: 1, port: 4301 });
});

test("listen() refuses a type other than that in the text", () => {
  const options = { transport: "loopback", type: "stream" } as const;
  assertThrows(() => listen("vsock-seqpacket:local:4302", options), TypeError, '"seqpacket"');
});
