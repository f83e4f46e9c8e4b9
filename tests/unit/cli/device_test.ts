import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { type Entry, qemuArguments } from "../../../src/cli/device/log.ts";
import { parseOptions } from "../../../src/cli/device/options.ts";
import { PcapFile } from "../../../src/cli/device/pcap_file.ts";
import { Sessions, shareOf } from "../../../src/cli/device/sessions.ts";
import { descriptorLimit } from "../../../src/cli/environment.ts";
import { UsageError } from "../../../src/cli/args/values.ts";
import { connect } from "../../../src/connect.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

const FIRST: readonly string[] = ["--socket", "s", "--guest-cid", "3"];

function refuses(says: string, ...args: string[]): void {
  assertThrows(() => parseOptions(args), UsageError, says);
}

test("parseOptions() of device reads guests", () => {
  assertEquals(parseOptions([...FIRST, "--uds-path", "u", "-g", "4:a", "--guest", "5:b:c"]), {
    guests: [
      { cid: 3, socketPath: "s", udsPath: "u" },
      { cid: 4, socketPath: "a", udsPath: undefined },
      { cid: 5, socketPath: "b", udsPath: "c" },
    ],
    siblings: false,
    pcap: undefined,
    json: false,
  });
  const { siblings, pcap, json } = parseOptions([...FIRST, "--siblings", "--pcap=p", "--json"]);
  assertEquals([siblings, pcap, json], [true, "p", true]);
});

test("parseOptions() of device refuses what it cannot obey", () => {
  refuses("must have --guest-cid CID: current value is nothing");
  refuses("must have --socket PATH: current value is nothing", "-c", "3");
  refuses("Cannot use --guest-cid: must be an integer from 3 to 4294967294", "-c", "2");
  refuses("Cannot use --guest-cid: must be an integer", "-c", "4294967295");
  refuses("Cannot use --socket: must be a path of at most 107 bytes", "-s", "x".repeat(108));
  refuses(
    "Cannot use --uds-path: must be a path of at most 96 bytes",
    "-u",
    "x".repeat(97),
    ...FIRST,
  );
  refuses('Cannot use --pcap: must be a path: current value is ""', ...FIRST, "--pcap=");
  for (const guest of ["4", "4:", "2:s", "4294967295:s", "4:a:b:c", "x:s", "4:a,5"]) {
    refuses("Cannot use --guest: must be CID:SOCKET", ...FIRST, "--guest", guest);
  }
  refuses(
    "Cannot use --guest: must have a CID of its own: current value is 3",
    ...FIRST,
    "-g",
    "3:t",
  );
  refuses("must be one socket's alone: current value is s", ...FIRST, "-g", "4:s");
  refuses("must be one socket's alone: current value is s", ...FIRST, "-u", "s");
  refuses("Cannot use --pcap: must be another path", ...FIRST, "--pcap", "s");
  refuses("Unexpected operand: more", ...FIRST, "more");
  refuses("Unknown option: --qemu", ...FIRST, "--qemu");
});

test("qemuArguments() have the path as QEMU and a shell take it", () => {
  assert(qemuArguments("/run/a.sock")[1]!.includes(" socket,id=vsock,path=/run/a.sock "));
  assert(qemuArguments("a,b")[1]!.includes("path=a,,b "));
  assert(qemuArguments("it's")[1]!.includes("-chardev 'socket,id=vsock,path=it'\\''s' "));
});

test("PcapFile records no more once that fails, and says so", () => {
  const failures: string[] = [];
  using file = new PcapFile(({ message }) => failures.push(message));
  file.open("/dev/full");
  for (let count = 0; count < 3; count++) file.write(new Uint8Array(1 << 18));
  assertEquals(failures.length, 1);
  assertMatch(failures[0]!, /ENOSPC|No space left/i);
});

test("PcapFile does not wait for who reads its pipe", () => {
  using folder = new TempFolder();
  const path = folder.path("pipe");
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const failures: string[] = [];
  using file = new PcapFile(({ message }) => failures.push(message));
  file.open(path);
  file.write(new Uint8Array(1 << 18)); // and a pipe holds less
  closeSync(reader);
  assertEquals(failures.length, 1);
  assertMatch(failures[0]!, /EAGAIN|temporarily unavailable/i);
});

test("shareOf() leaves descriptors for all guests, and for what else there is", () => {
  assertEquals([shareOf(1, Infinity), shareOf(9, 1 << 20)], [1_023, 1_023], "as Firecracker");
  assertEquals([shareOf(1, 1_024), shareOf(2, 1_024), shareOf(4, 1_024)], [856, 408, 184]);
  assertEquals(shareOf(100, 256), 1);
});

test("descriptorLimit() is what the shell tells", () => {
  const command = 'cat /proc/$PPID/limits | grep "Max open files"';
  const told = execFileSync("/bin/sh", ["-c", command], { encoding: "utf8" });
  assertEquals(descriptorLimit(), Number(told.split(/ {2,}/)[1]));
});

test("Sessions has no more of one guest than it may", async () => {
  const entries: Entry[] = [];
  const sessions = new Sessions((entry) => entries.push(entry), 100);
  const transport = createLoopback();
  using listener = listen({ cid: 1, port: 1024 }, { transport });
  using conn = await connect({ cid: 1, port: 1024 }, { transport });
  using far = await listener.accept();
  for (let count = 0; count < 100; count++) {
    assertEquals(sessions.full(3, 0), undefined);
    sessions.start({ cid: 3, port: 5, from: "guest" }, conn.socket, far.socket);
  }
  assertEquals(sessions.full(3, 0), "it has 100 connections");
  assertEquals(sessions.full(4, 99), undefined);
  assertEquals(sessions.full(4, 100), "it has 100 connections");
  await sessions.end(10_000, new AbortController().signal);
  assertEquals(sessions.full(3, 0), undefined);
  assertEquals(entries.filter(({ event }) => event === "close").length, 100);
});
