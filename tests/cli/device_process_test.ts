/** `vsockit device` as a process: its end, its signals, its paths and files. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { Machine } from "../device/machine.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { until } from "../helpers/until.ts";
import { vsockit } from "./captured.ts";
import { CID, DeviceProcess } from "./device_process.ts";
import { Running } from "./process.ts";

const WAIT = { timeout: 60_000 };
const NO_TSHARK = spawnSync("tshark", ["--version"]).error === undefined
  ? false
  : "no tshark to dissect the file: install it (Debian: apt install tshark)";

test("vsockit device ends connections on SIGTERM, and unlinks its paths", WAIT, async () => {
  using device = await DeviceProcess.start();
  using machine = await device.boot();
  using agent = listen({ cid: CID, port: 1024 }, { transport: machine.transport });
  using near = await connect({ path: device.udsPath, port: 1024 });
  using far = await agent.accept();
  await near.write(new Uint8Array(1000));
  await device.event("open");
  for (const path of [device.socketPath, device.udsPath]) {
    assertEquals(statSync(path).mode & 0o777, 0o600);
  }
  const p = new Uint8Array(2000);
  assertEquals(await far.read(p), 1000);
  device.signal("SIGTERM");
  assertEquals(await far.read(p), null);
  assertEquals(await near.read(p), null);
  assertEquals((await device.event("close")).reason, undefined);
  const { rxPackets, txBytes, up } = await device.event("counters");
  assert(rxPackets > 0);
  assertEquals([txBytes, up], [1000, true]);
  assertEquals((await device.event("stop")).cut, 0);
  assertEquals(await device.running.ended, 0);
  assertEquals(device.files, []);
});

test("vsockit device cuts connections at a second signal", WAIT, async () => {
  using device = await DeviceProcess.start();
  using machine = await device.boot();
  using agent = listen({ cid: CID, port: 1024 }, { transport: machine.transport });
  using near = await connect({ path: device.udsPath, port: 1024 });
  using far = await agent.accept();
  const writing = far.write(new Uint8Array(8_000_000)).catch(() => {}); // and nobody reads
  await near.read(new Uint8Array(1));
  device.signal("SIGTERM");
  await until(() => !existsSync(device.udsPath));
  device.signal("SIGINT");
  assertEquals((await device.event("stop")).cut, 1);
  assertEquals(await device.running.ended, 1);
  assertEquals(device.files, []);
  machine.close();
  await writing;
});

test("vsockit device prints counters at SIGUSR2", WAIT, async () => {
  using device = await DeviceProcess.start();
  using machine = await device.boot();
  await assertRejects(() => connect({ cid: 2, port: 1 }, { transport: machine.transport }));
  device.signal("SIGUSR2");
  const { cid, up, rxPackets, txPackets } = await device.event("counters");
  assertEquals([cid, up, rxPackets, txPackets], [CID, true, 1, 1]);
  device.signal("SIGINT");
  assertEquals(await device.running.ended, 0);
});

test("vsockit device has guests talk to each other, and records it", {
  ...WAIT,
  skip: NO_TSHARK,
}, async () => {
  using device = await DeviceProcess.start(
    ...["--guest", "43:FOLDER/b:FOLDER/bv", "--siblings", "--pcap", "FOLDER/all.pcap"],
  );
  assertEquals((await device.event("listen")).cid, 43);
  using one = await device.boot({ siblings: [43] });
  using two = await device.boot({ socketPath: device.folder.path("b"), siblings: [CID] });
  using listener = listen({ cid: 43, port: 7 }, { transport: two.transport });
  using near = await connect({ cid: 43, port: 7 }, { transport: one.transport });
  using far = await listener.accept();
  await near.write(new TextEncoder().encode("hello"));
  assertEquals(await far.read(new Uint8Array(8)), 5);
  using host = await connect({ path: device.folder.path("bv"), port: 7 });
  using _served = await listener.accept();
  assertEquals(host.remoteAddr.port, 7);
  device.signal("SIGTERM");
  assertEquals(await device.running.ended, 0);
  assertEquals(device.files, ["all.pcap"]);
  const file = device.folder.path("all.pcap");
  assertEquals(statSync(file).mode & 0o777, 0o600);
  const fields = ["vsock.src_cid", "vsock.dst_cid", "vsock.virtio.op", "vsock.payload"];
  const args = ["-r", file, "-T", "fields", "-E", "separator=/s"];
  const printed = execFileSync("tshark", [...args, ...fields.flatMap((name) => ["-e", name])], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const lines = printed.split("\n").map((line) => line.trimEnd());
  assertEquals(lines.slice(0, 2), ["42 43 1", "43 42 2"]);
  assert(lines.includes("42 43 5 68656c6c6f"), printed);
  assert(lines.includes("2 43 1"), printed);
});

test("vsockit device tells what a VMM does wrong, and serves the next", WAIT, async () => {
  using device = await DeviceProcess.start();
  using vmm = await connect({ path: device.socketPath });
  await vmm.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  assertEquals(await vmm.read(new Uint8Array(8)).catch(() => null), null);
  const { cid, reason } = await device.event("fault");
  assertEquals(cid, CID);
  assertMatch(reason, /a message must be a request/);
  using _machine = await device.boot();
});

test("vsockit device tells what a VMM does wrong once a second", WAIT, async () => {
  using device = await DeviceProcess.start();
  const began = performance.now();
  for (let count = 0; count < 100; count++) {
    using vmm = await connect({ path: device.socketPath });
    await vmm.write(new Uint8Array(12));
    assertEquals(await vmm.read(new Uint8Array(8)).catch(() => null), null);
  }
  assertEquals((await device.event("fault")).count, undefined);
  const counts: number[] = [];
  for (let left = 99; left > 0; left -= counts.at(-1)!) {
    counts.push((await device.event("fault")).count ?? 1);
  }
  assert(counts.length < 3 + (performance.now() - began) / 1000, `${counts}`);
});

test("vsockit device takes the place of a dead one, and of no other", WAIT, async () => {
  using folder = new TempFolder();
  const paths = ["--socket", folder.path("s"), "--uds-path", folder.path("u")];
  const args = ["device", "--guest-cid", "3", ...paths];
  using first = new Running(...args);
  await first.says(/guest 3 waits for its VMM; for QEMU:\n.*memory-backend-memfd.*share=on/);
  assertMatch(first.err, new RegExp(`path=${folder.path("s")} -device vhost-user-vsock-pci`));
  const { code, err } = await vsockit([...args, "--pcap", folder.path("p")]);
  assertEquals([code, /EADDRINUSE/.test(err)], [1, true], err);
  assert(!existsSync(folder.path("p")), "what the first one records would be gone");
  first.child.kill("SIGKILL");
  await first.ended;
  assert(existsSync(folder.path("s")));
  using second = new Running(...args);
  await second.says(/guest 3 is reached by CONNECT at .*\nguest 3 waits/);
  using _machine = await Machine.start({ socketPath: folder.path("s") });
  await second.says(/^guest 3 is up$/m);
  second.child.kill("SIGTERM");
  await second.says(/^guest 3: 0 packets with 0 bytes from it.*kicks.*\n.*is down\nstopped: 0/m);
  await second.ended;
});

test("vsockit device ends where nobody reads the pipe that it is to record in", WAIT, async () => {
  using folder = new TempFolder();
  const [socket, pipe] = [folder.path("s"), folder.path("pipe")];
  execFileSync("mkfifo", [pipe]);
  using device = new Running("device", "-c", "3", "-s", socket, "--pcap", pipe);
  assertEquals(await device.ended, 1);
  assertMatch(
    device.err,
    /^vsockit device: Cannot open .*\/pipe: ENXIO .*: nobody reads that pipe/,
  );
  assert(!existsSync(socket));
});

test("vsockit device says what is wrong with its command line", async () => {
  const { code, err } = await vsockit(["device", "--socket", "s"]);
  assertEquals(code, 2);
  assert(err.includes("must have --guest-cid CID"), err);
  const help = await vsockit(["device", "--help"]);
  assertMatch(help.out, /-device vhost-user-vsock-pci,chardev=vsock[^]*--uds-path PATH/);
});
