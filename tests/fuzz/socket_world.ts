/**
 * One transport's sockets, what calls on them come to, and where two transports differ.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "../../ffi/abi/poll.ts";
import { SO_VM_SOCKETS_MAP_RX, USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import type { VsockAddress } from "../../src/address.ts";
import { type RxMapping, type Socket, WOULD_BLOCK } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";
import { readMapping, wordOf } from "../conformance/helpers.ts";
import { concat } from "../conformance/verbs.ts";
import { type Call, type Port, PORTS, type Question } from "./socket_calls.ts";

const OUT = POLLOUT | POLLWRNORM;
const EVENTS = POLLIN | POLLRDNORM | POLLRDHUP | OUT;
const LONGEST = 300_000;
const PATTERN = Uint8Array.from({ length: LONGEST + 0x10000 }, (_, at) => (at ^ (at >> 8)) * 31);

/** A transport that can come to rest. */
export interface Ground {
  readonly transport: Transport;
  /** Resolves once all that was sent has arrived, with what that has led to, in microtasks too. */
  settle(): Promise<void>;
}

/** What a call has come to. */
export interface Outcome {
  readonly text: string;
  readonly data?: Uint8Array;
}

/** The sockets of one sequence. */
export class World implements Disposable {
  readonly sockets: Socket[] = [];
  readonly #transport: Transport;
  readonly #firstPort: number;
  readonly #mappings: Map<Socket, RxMapping> = new Map();
  readonly #names: Map<number, string> = new Map();
  readonly #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(LONGEST);

  /** Its ports, `PORTS` of them, are nobody else's. */
  constructor(transport: Transport, firstPort: number) {
    this.#transport = transport;
    this.#firstPort = firstPort;
    this.#names.set(VMADDR_PORT_ANY, "any");
    for (let at = 0; at < PORTS; at++) this.#names.set(firstPort + at, `${at}`);
  }

  /** The socket that `call` is on. */
  socket(call: Call): Socket | undefined {
    return "on" in call ? this.sockets[call.on % this.sockets.length] : undefined;
  }

  /** Makes the call, the `at`th of its sequence. */
  perform(call: Call, at: number): Outcome {
    try {
      if (call.call !== "socket") {
        const socket = this.socket(call);
        return socket === undefined ? { text: "no socket" } : this.#on(socket, call, at);
      }
      this.sockets.push(this.#transport.socket(call.type));
      return { text: "made" };
    } catch (error) {
      if (error instanceof SysError) return { text: error.code };
      throw error;
    }
  }

  /** What poll(2) says of each socket. */
  polls(): number[] {
    return this.sockets.map((socket) => socket.poll(EVENTS));
  }

  /** `poll_value` of each mapping. */
  pollValues(): number[] {
    return [...this.#mappings.values()].map((mapping) => wordOf(mapping, 0));
  }

  [Symbol.dispose](): void {
    for (const socket of this.sockets) this.#close(socket);
  }

  #on(socket: Socket, call: Exclude<Call, { call: "socket" }>, at: number): Outcome {
    switch (call.call) {
      case "bind":
        return done(socket.bind({ cid: call.cid, port: this.#port(call.port) }));
      case "listen":
        return done(socket.listen(call.backlog));
      case "connect":
        return { text: `${socket.connect({ cid: call.cid, port: this.#port(call.port) })}` };
      case "accept":
        return this.#accept(socket);
      case "send": {
        const start = (at * 977) % 0x10000;
        const sent = socket.send(PATTERN.subarray(start, start + call.length), call.flags);
        return { text: result(sent) };
      }
      case "recv":
        return this.#recv(socket, call.length, call.flags);
      case "shutdown":
        return done(socket.shutdown(call.how));
      case "close":
        return done(this.#close(socket));
      case "mmap":
        this.#mappings.set(socket, socket.mmap((1 + call.pages) * USR_PAGE_SIZE, call.prot));
        return { text: "mapped" };
      case "mapRx":
        return this.#mapRx(socket);
      case "advise":
        return done(this.#mappings.get(socket)?.advise());
      case "unmap":
        return done(this.#unmap(socket));
      default:
        return this.#ask(socket, call);
    }
  }

  #ask(socket: Socket, call: Question): Outcome {
    switch (call.call) {
      case "getsockopt": {
        const value = new Uint8Array(call.length).fill(0xa5);
        return { text: result(socket.getsockopt(call.level, call.name, value)), data: value };
      }
      case "setsockopt":
        return done(socket.setsockopt(call.level, call.name, bytesOf(call.value)));
      case "takeError":
        return { text: result(socket.takeError()) };
      case "outq":
        return { text: result(socket.outq()) };
      case "getsockname":
        return { text: this.#name(socket.localAddress()) };
      case "getpeername":
        return { text: this.#name(socket.remoteAddress()) };
    }
  }

  #mapRx(socket: Socket): Outcome {
    const mapping = this.#mappings.get(socket);
    if (mapping === undefined) {
      const nowhere = new Uint8Array(BigUint64Array.of(BigInt(USR_PAGE_SIZE)).buffer);
      return { text: result(socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_MAP_RX, nowhere)) };
    }
    mapping.mapRx();
    const { data, ...words } = readMapping(mapping);
    return { text: JSON.stringify(words), data: concat(data) };
  }

  #unmap(socket: Socket): void {
    this.#mappings.get(socket)?.unmap();
    this.#mappings.delete(socket);
  }

  /** A mapping keeps a socket of the kernel from its end. */
  #close(socket: Socket): void {
    this.#unmap(socket);
    socket.close();
  }

  #accept(listener: Socket): Outcome {
    const socket = listener.accept();
    if (socket === undefined) return { text: "none" };
    this.sockets.push(socket);
    const names = [socket.localAddress(), socket.remoteAddress()].map((name) => this.#name(name));
    return { text: names.join(" <- ") };
  }

  #recv(socket: Socket, length: number, flags: number): Outcome {
    const out = { flags: 0 };
    const received = socket.recv(this.#buffer.subarray(0, length), flags, out);
    if (received === WOULD_BLOCK) return { text: "would block" };
    const data = this.#buffer.slice(0, Math.min(received, length));
    return { text: `${received}, flags ${out.flags}`, data };
  }

  #port(port: Port): number {
    if (port === "any") return VMADDR_PORT_ANY;
    if (port === "reserved") return 1 + this.#firstPort % 1023;
    if (typeof port === "number") return this.#firstPort + port;
    const socket = this.sockets[port.of % this.sockets.length]!;
    return socket.closed ? this.#firstPort : socket.localAddress().port;
  }

  /** Ports that were given out go by the order they are seen in. */
  #name({ cid, port }: VsockAddress): string {
    const names = this.#names;
    if (!names.has(port)) names.set(port, port < 1024 ? "reserved" : `given ${names.size}`);
    return `${cid}:${names.get(port)}`;
  }
}

function done(_: void): Outcome {
  return { text: "done" };
}

function result(value: number): string {
  return value === WOULD_BLOCK ? "would block" : `${value}`;
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

let nextPort = 30_000;

/** A bit before Linux gives up on a peer that does not agree to a close(), after 8 seconds. */
const CLOSING_MS = 7_000;

/**
 * One sequence on both, call by call.
 *
 * Of a message for which there is credit for a part only, Linux sends that part. `model` takes all
 * or nothing, so it is asked first, and such a call is not made on `real`.
 */
class Match implements Disposable {
  readonly #calls: readonly Call[];
  readonly #model: World;
  readonly #real: World;
  /** Whose messages were refused: the model is writable once there is room for all of one. */
  readonly #refused: Set<Socket> = new Set();
  #outcomes: readonly [Outcome, Outcome] | undefined;
  #firstClose = Infinity;

  constructor(calls: readonly Call[], model: Transport, real: Transport) {
    this.#calls = calls;
    this.#model = new World(model, nextPort);
    this.#real = new World(real, nextPort);
    nextPort += PORTS;
  }

  /** Whether it has taken so long that the clock of `real` may have a say; the model's stands. */
  get stale(): boolean {
    return performance.now() > this.#firstClose + CLOSING_MS;
  }

  /** Makes the call with the number `at`, if there is one. */
  perform(at: number): void {
    const call = this.#calls[at];
    this.#outcomes = undefined;
    if (call === undefined) return;
    if (call.call === "close") this.#firstClose = Math.min(this.#firstClose, performance.now());
    const socket = this.#real.socket(call);
    const expected = this.#model.perform(call, at);
    const message = call.call === "send" && socket?.type === "seqpacket";
    const refused = message && expected.text === "would block";
    if (refused) this.#refused.add(socket);
    else if (message && Number(expected.text) > 0) this.#refused.delete(socket);
    const cut = refused && (socket.poll(POLLOUT) & POLLOUT) !== 0;
    this.#outcomes = [expected, cut ? expected : this.#real.perform(call, at)];
  }

  /** How the outcomes of that call differ, or what poll(2) says after it. */
  difference(at: number): string | undefined {
    if (this.#outcomes === undefined) return undefined;
    const [expected, actual] = this.#outcomes;
    if (!same(expected, actual)) {
      return `call ${at}: the model says ${shown(expected)}, not ${shown(actual)}`;
    }
    const does = this.#real.polls();
    const should = this.#model.polls().map((events, index) => {
      return this.#refused.has(this.#real.sockets[index]!) ? events | (does[index]! & OUT) : events;
    });
    return unlike(`poll() after call ${at}`, should, does) ??
      unlike(`poll_value after call ${at}`, this.#model.pollValues(), this.#real.pollValues());
  }

  [Symbol.dispose](): void {
    this.#model[Symbol.dispose]();
    this.#real[Symbol.dispose]();
  }
}

/** Sequences that take turns, so that few waits serve all; more would be slow to come to an end. */
const TOGETHER = 10;

/** Where each of the sequences differs first. */
export async function differences(
  sequences: readonly (readonly Call[])[],
  model: () => Transport,
  real: Ground,
): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = [];
  for (let first = 0; first < sequences.length; first += TOGETHER) {
    const some = sequences.slice(first, first + TOGETHER);
    const matches = some.map((calls) => new Match(calls, model(), real.transport));
    try {
      found.push(...await inTurns(matches, Math.max(...some.map(({ length }) => length)), real));
    } finally {
      for (const match of matches) match[Symbol.dispose]();
    }
  }
  return found;
}

async function inTurns(
  matches: readonly Match[],
  calls: number,
  real: Ground,
): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = matches.map(() => undefined);
  for (let at = 0; at < calls; at++) {
    const left = [...matches.entries()].filter(([index, match]) => {
      return found[index] === undefined && !match.stale;
    });
    for (const [, match] of left) match.perform(at);
    await real.settle();
    for (const [index, match] of left) {
      const difference = match.difference(at);
      if (!match.stale) found[index] = difference;
    }
  }
  return found;
}

function unlike(
  what: string,
  should: readonly number[],
  does: readonly number[],
): string | undefined {
  return `${should}` === `${does}` ? undefined : `${what}: the model says ${should}, not ${does}`;
}

function same(a: Outcome, b: Outcome): boolean {
  if (a.text !== b.text) return false;
  return Buffer.compare(a.data ?? new Uint8Array(0), b.data ?? new Uint8Array(0)) === 0;
}

function shown({ text, data }: Outcome): string {
  return data === undefined ? text : `${text} [${data.subarray(0, 16)}]`;
}

/** Leaves out calls for as long as the rest still differs. */
export async function shrunk(
  calls: readonly Call[],
  differ: (sequences: readonly (readonly Call[])[]) => Promise<readonly boolean[]>,
): Promise<readonly Call[]> {
  let kept = calls;
  for (let size = Math.ceil(kept.length / 2); size > 0;) {
    const shorter: (readonly Call[])[] = [];
    for (let at = 0; at < kept.length; at += size) shorter.push(kept.toSpliced(at, size));
    const at = (await differ(shorter)).indexOf(true);
    if (at >= 0) kept = shorter[at]!;
    else size = size === 1 ? 0 : Math.ceil(size / 2);
  }
  return kept;
}
