import { test } from "node:test";
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { ERRNO, SysError } from "../../../ffi/errno.ts";
import { VsockError } from "../../../src/error.ts";
import { collect, listSockets } from "../../../src/kernel/diag.ts";
import { decodeDiagReply, encodeDiagRequest } from "../../../src/kernel/diag_message.ts";
import { listen } from "../../../src/listen.ts";
import { openSockets } from "../../helpers/open_sockets.ts";
import { NO_VSOCK } from "./helpers.ts";

const SEQUENCE = 7;
const ANY = 0xffff_ffff;

/** One message of netlink, padded to 4 bytes; `length` lies where it is given. */
function message(type: number, body: readonly number[], length = 16 + body.length): number[] {
  const padded = [...body, ...new Array<number>(-body.length & 3).fill(0)];
  const bytes = new Uint8Array(16 + padded.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint32(8, SEQUENCE, true);
  bytes.set(padded, 16);
  return [...bytes];
}

/** The `struct vsock_diag_msg` of a listener, port 5 of any CID, that has inode 9. */
function listener(family = 40): number[] {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  bytes.set([family, 1, 10, 3]);
  for (const [at, value] of [[4, ANY], [8, 5], [12, ANY], [16, ANY], [20, 9]] as const) {
    view.setUint32(at, value, true);
  }
  return [...bytes];
}

function decode(...bytes: readonly (readonly number[])[]): ReturnType<typeof decodeDiagReply> {
  return decodeDiagReply(Uint8Array.from(bytes.flat()), SEQUENCE);
}

const LISTENER = {
  type: "stream",
  state: "LISTEN",
  inode: 9,
  local: { cid: ANY, port: 5 },
  remote: { cid: ANY, port: ANY },
  readClosed: true,
  writeClosed: true,
} as const;
const DONE = message(3, [0, 0, 0, 0]);

test("encodeDiagRequest() asks for all sockets of AF_VSOCK", () => {
  const bytes = encodeDiagRequest(0x01020304);
  assertEquals([...bytes.subarray(0, 16)], [40, 0, 0, 0, 20, 0, 1, 3, 4, 3, 2, 1, 0, 0, 0, 0]);
  assertEquals([...bytes.subarray(16)], [40, 0, 0, 0, 255, 255, 255, 255, ...Array(16).fill(0)]);
});

test("decodeDiagReply() reads sockets until the end", () => {
  assertEquals(decode(message(20, listener())), { sockets: [LISTENER], done: false });
  const all = decode(message(20, listener()), message(20, listener()), DONE);
  assertEquals(all, { sockets: [LISTENER, LISTENER], done: true });
});

test("decodeDiagReply() passes over other families, types and sequences", () => {
  const other = message(20, listener());
  other[8] = SEQUENCE + 1;
  const reply = decode(message(20, listener(2)), message(99, [1, 2, 3]), other, DONE);
  assertEquals(reply, { sockets: [], done: true });
});

test("decodeDiagReply() names what Linux did not have", () => {
  const strange = listener();
  [strange[1], strange[2]] = [77, 99];
  const [entry] = decode(message(20, strange)).sockets;
  assertEquals([entry?.type, entry?.state], ["unknown", "UNKNOWN"]);
});

test("decodeDiagReply() throws what the kernel says", () => {
  const error = (number: number): number[] => [
    ...new Uint8Array(Int32Array.of(-number).buffer),
    ...Array<number>(16).fill(0),
  ];
  const code = (...bytes: readonly number[][]): string =>
    assertThrowsSys(() => decode(...bytes)).code;
  assertEquals(code(message(2, error(ERRNO.ENOENT))), "ENOENT");
  assertEquals(code(message(3, error(ERRNO.ENOMEM).slice(0, 4))), "ENOMEM");
  assertEquals(code(message(2, error(-5))), "EPROTO");
  assertEquals(code(message(4, [])), "ENOBUFS");
});

test("decodeDiagReply() refuses lengths that cannot be", () => {
  const liars = [
    message(20, listener(), 15),
    message(20, listener(), 49),
    message(20, listener(), 0xffff_ffff),
    message(20, listener().slice(0, 31)),
    message(2, [1, 0, 0]),
    message(20, listener()).slice(0, 47),
    [0, 0, 0],
  ];
  for (const bytes of liars) {
    assertEquals(assertThrowsSys(() => decode(bytes)).code, "EPROTO", bytes.join());
  }
});

test("collect() reads until the end, and no more than can be", () => {
  const parts = [message(20, listener()), message(20, listener()), DONE];
  assertEquals(collect(SEQUENCE, () => Uint8Array.from(parts.shift()!)).length, 2);
  const many = Uint8Array.from(Array(1000).fill(message(20, listener())).flat());
  assertEquals(assertThrowsSys(() => collect(SEQUENCE, () => many)).code, "EOVERFLOW");
});

function assertThrowsSys(f: () => unknown): SysError {
  let thrown: unknown;
  try {
    f();
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof SysError)) throw thrown ?? new Error("nothing was thrown");
  return thrown;
}

const WHY_NOT = whyNot();

/** Why sockets cannot be listed here. */
function whyNot(): string | false {
  if (NO_VSOCK) return NO_VSOCK;
  try {
    listSockets();
    return false;
  } catch (error) {
    if (error instanceof VsockError && error.hint !== undefined) return error.hint;
    throw error;
  }
}

test("listSockets() has a listener of this process", { skip: WHY_NOT }, () => {
  using listening = listen({ cid: ANY, port: ANY }, { transport: "vsock" });
  const { port } = listening.addr;
  const found = listSockets().filter(({ local }) => local.port === port);
  assertEquals(found.map(({ state, type }) => [state, type]), [["LISTEN", "stream"]]);
});

test("listSockets() says what to load where the kernel cannot tell", { skip: !WHY_NOT }, () => {
  const error = assertThrows(() => listSockets());
  if (!(error instanceof VsockError)) throw error;
  assertMatch(error.message, /^Cannot recv: ENOENT \(errno 2\): .*: modprobe vsock_diag$/);
});

test("listSockets() closes what it asks by, whatever comes of it", () => {
  const before = openSockets();
  try {
    listSockets();
  } catch (error) {
    assertEquals((error as VsockError).code, "ENOENT");
  }
  assertEquals(openSockets(), before);
});
