import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { parseOptions } from "../../../src/cli/test/options.ts";
import { UsageError } from "../../../src/cli/args/values.ts";

const SERVER = ["--mode", "server", "--control-port", "4321", "--peer-cid", "3"];

function chosen(...args: string[]): number[] {
  const { chosen } = parseOptions(args);
  return Array.from({ length: 26 }, (_, id) => id).filter(chosen);
}

test("parseOptions() takes the command line of vsock_test", () => {
  const { role, peerPort } = parseOptions(["--mode=client", "--control-host=192.168.0.1"].concat(
    ["--control-port=1234", "--peer-cid=2", "--peer-port=5000"],
  ));
  assertEquals(role, {
    mode: "client",
    controlHost: "192.168.0.1",
    controlPort: 1234,
    peerCid: 2,
  });
  assertEquals(peerPort, 5000);
});

test("parseOptions() has C's defaults", () => {
  const { role, peerPort, list } = parseOptions(SERVER);
  assertEquals([role?.controlHost, peerPort, list], ["0.0.0.0", 1234, false]);
  assertEquals(parseOptions([]).role, undefined);
});

test("parseOptions() picks and skips", () => {
  assertEquals(chosen().length, 26);
  assertEquals(chosen("--pick", "3", "--pick=5"), [3, 5]);
  assertEquals(chosen("--pick", "3,4,5", "--skip", "4"), [3, 5]);
  assertEquals(chosen("--skip", "0", "--skip", "25").length, 24);
});

for (
  const [args, message] of [
    [["--mode", "both"], "Cannot use --mode: must be one of client, server: current value is both"],
    [["--peer-cid", "3"], "Cannot use --peer-cid: must be with --mode: current value is no --mode"],
    [
      ["--mode", "client", "--control-port", "1", "--peer-cid", "2"],
      "Cannot use --mode client: must be with --control-host: current value is no --control-host",
    ],
    [
      ["--mode", "server", "--peer-cid", "2"],
      "Cannot use --mode server: must be with --control-port: current value is no --control-port",
    ],
    [
      ["--mode", "server", "--control-port", "1"],
      "Cannot use --mode server: must be with --peer-cid: current value is no --peer-cid",
    ],
    [
      ["--mode", "server", "--control-port", "65536", "--peer-cid", "3"],
      "Cannot use --control-port: must be an integer from 0 to 65535: current value is 65536",
    ],
    [
      [...SERVER, "--peer-cid", "4294967295"],
      "Cannot use --peer-cid: must be an integer from 0 to 4294967294: current value is 4294967295",
    ],
    [
      ["--skip", "26"],
      "Cannot use --skip: must be an integer from 0 to 25: current value is 26",
    ],
    [["--pick", "1,"], 'Cannot use --pick: must be an integer from 0 to 25: current value is ""'],
    [
      ["--peer-port", "4294967294"],
      "Cannot use --peer-port: must be an integer from 0 to 4294967293: current value is 4294967294",
    ],
  ] as const
) {
  test(`parseOptions() refuses ${args.join(" ")}`, () => {
    const error = assertThrows(() => parseOptions(args), UsageError);
    assertEquals(error.message, message);
  });
}
