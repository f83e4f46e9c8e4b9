/**
 * Two connected sockets against a model of bytes and bounds, under random calls, seeds and faults.
 *
 * A failure names its seed: `VSOCKIT_SEED=<seed>` runs the same calls again.
 *
 * @module
 */
import { test } from "node:test";
import { Buffer } from "node:buffer";
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { SysError } from "../../ffi/errno.ts";
import { PROT_READ } from "../../ffi/abi/mman.ts";
import { POLLOUT } from "../../ffi/abi/poll.ts";
import {
  MSG_EOR,
  MSG_PEEK,
  MSG_TRUNC,
  SHUT_RD,
  SHUT_WR,
  SO_RCVLOWAT,
  SOL_SOCKET,
} from "../../ffi/abi/socket.ts";
import { SO_VM_SOCKETS_ZEROCOPY } from "../../ffi/abi/virtio_vsock_usr.ts";
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  VMADDR_CID_ANY,
  VMADDR_PORT_ANY,
} from "../../ffi/abi/vm_sockets.ts";
import { createLoopback, type LoopbackFaults, ManualClock } from "../../src/loopback/mod.ts";
import { seeded } from "../../src/loopback/random.ts";
import type { RxMapping, Socket, SocketType } from "../../src/socket.ts";

const STEPS = 100_000;
const STEPS_PER_CONNECTION = 500;
/** More packets than this are not left queued: they would be more than the buffer accounts for. */
const SENDS_QUEUED_MAX = 60;
const FIRST_BUFFER = 65536;

/** Byte `n` of every direction is `PATTERN[n % PATTERN_LENGTH]`. */
const PATTERN_LENGTH = 65521;
const PATTERN = Uint8Array.from({ length: 4 * PATTERN_LENGTH }, (_, n) => {
  const i = n % PATTERN_LENGTH;
  return (i ^ (i >>> 8)) * 31;
});

/** The model of one direction: what was sent is what arrives, once, in order, with its bounds. */
class Direction {
  sent = 0;
  taken = 0;
  ended = false;
  deaf = false;
  readonly messages: { left: number; readonly eor: boolean }[] = [];

  next(length: number): Uint8Array {
    const at = this.sent % PATTERN_LENGTH;
    return PATTERN.subarray(at, at + length);
  }

  took(length: number, eor: boolean): void {
    this.sent += length;
    this.messages.push({ left: length, eor });
  }

  /** `data` is what comes next; with `whole` messages `length` and `eor` are those of the first. */
  gave(data: Uint8Array, { peek = false, whole = false, length = data.length, eor = false }): void {
    assert(this.taken + length <= this.sent, `${length} more bytes than were sent`);
    const at = this.taken % PATTERN_LENGTH;
    assert(Buffer.compare(data, PATTERN.subarray(at, at + data.length)) === 0, "other bytes");
    if (whole) assertEquals([length, eor], [this.messages[0]!.left, this.messages[0]!.eor]);
    if (!peek) this.#take(length);
  }

  #take(length: number): void {
    this.taken += length;
    for (let rest = length; rest > 0;) {
      const first = this.messages[0]!;
      const part = Math.min(rest, first.left);
      first.left -= part;
      rest -= part;
      if (first.left === 0) this.messages.shift();
    }
  }
}

/** One socket, what it sends, what it receives, and what it has mapped. */
interface End {
  readonly socket: Socket;
  readonly out: Direction;
  readonly into: Direction;
  readonly mapping: RxMapping | undefined;
  held: { readonly view: Uint8Array; readonly copy: Uint8Array }[];
  buffer: number;
}

/** One connection, and the numbers that drive it. */
class Model {
  steps = 0;
  /** A digest of every result, equal whenever the seed is. */
  digest = 0;
  readonly #random: () => number;
  readonly #clock = new ManualClock();
  readonly #type: SocketType;
  readonly #mortal: boolean;
  readonly #listener: Socket;
  readonly #client: Socket;
  #ends: End[] = [];

  constructor(seed: number) {
    const random = this.#random = seeded(seed);
    this.#type = random() < 0.5 ? "stream" : "seqpacket";
    this.#mortal = random() < 0.1;
    const faults: LoopbackFaults = {
      shortReads: random() < 0.5 ? random() : 0,
      shortWrites: random() < 0.5 ? random() : 0,
      ...(random() < 0.2 ? { creditLimit: 20_000 + this.#below(100_000) } : {}),
      ...(this.#mortal ? { resetAfterBytes: this.#below(1_000_000) } : {}),
    };
    const delayMs = random() < 0.3 ? this.#below(20) : 0;
    const clock = this.#clock;
    const transport = createLoopback({ seed: this.#below(2 ** 32), delayMs, faults, clock });
    this.#listener = transport.socket(this.#type);
    this.#client = transport.socket(this.#type);
  }

  /** Connects, makes `steps` random calls, drains, closes. */
  async run(steps: number): Promise<void> {
    await this.#connect();
    while (this.steps < steps) {
      this.steps++;
      const end = this.#ends[this.#below(2)]!;
      this.#step(end);
      if (this.#random() < 0.4) await this.#turn();
    }
    for (const { socket, out } of this.#ends) {
      if (!out.ended) socket.shutdown(SHUT_WR);
      out.ended = true;
    }
    await this.#drain();
    for (const { socket, mapping } of this.#ends) {
      mapping?.unmap();
      socket.close();
    }
  }

  async #connect(): Promise<void> {
    const [listener, client] = [this.#listener, this.#client];
    for (const socket of [listener, client]) {
      socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, u64(1 << 20));
      socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, u64(FIRST_BUFFER));
      socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, u64(this.#below(2)));
    }
    listener.bind({ cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY });
    listener.listen(1);
    client.connect({ cid: 1, port: listener.localAddress().port });
    let server: Socket | undefined;
    while (server === undefined || client.poll(POLLOUT) === 0) {
      await this.#turn();
      server ??= listener.accept();
    }
    listener.close();
    const [up, down] = [new Direction(), new Direction()];
    this.#ends = [this.#end(client, up, down), this.#end(server, down, up)];
  }

  #end(socket: Socket, out: Direction, into: Direction): End {
    const value = new Uint8Array(8);
    socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, value);
    const length = (1 + this.#pages()) * 4096;
    const mapping = value[0] === 1 ? socket.mmap(length, PROT_READ) : undefined;
    return { socket, out, into, mapping, held: [], buffer: FIRST_BUFFER };
  }

  #step(end: End): void {
    const choice = this.#random();
    if (choice < 0.4) this.#send(end);
    else if (choice < 0.65) this.#receive(end, 0);
    else if (choice < 0.72) this.#receive(end, MSG_PEEK);
    else if (choice < 0.87) this.#map(end);
    else if (choice < 0.96) this.#release(end);
    else if (choice < 0.975) this.#setRcvlowat(end, 1 + this.#below(10_000));
    else if (choice < 0.99) this.#growBuffer(end);
    else if (choice < 0.9905) this.#shutdown(end);
  }

  #send({ socket, out }: End): void {
    if (out.messages.length >= SENDS_QUEUED_MAX) return;
    const data = out.next(this.#length());
    const eor = this.#random() < 0.3;
    let taken = 0;
    try {
      taken = socket.send(data, eor ? MSG_EOR : 0);
    } catch (error) {
      assert(error instanceof SysError);
      if (error.code === "EMSGSIZE") assert(this.#type === "seqpacket");
      else assert(error.code === "EPIPE" && (out.ended || out.deaf || this.#mortal), error.code);
      return this.#note(error.errno);
    }
    this.#note(taken);
    assert(!out.ended, "send() after shutdown()");
    assert(taken === -1 || (taken > 0 && taken <= data.length), `${taken} of ${data.length}`);
    if (this.#type === "seqpacket") assert(taken === -1 || taken === data.length, "part of one");
    if (taken > 0) out.took(taken, eor);
    const most = Math.max(...this.#ends.map(({ buffer }) => buffer));
    assert(out.sent - out.taken <= most, `${out.sent - out.taken} bytes on the way`);
  }

  #receive({ socket, into }: End, peek: number): void {
    const buffer = new Uint8Array(this.#length());
    const out = { flags: 0 };
    const whole = this.#type === "seqpacket";
    let result: number;
    try {
      result = socket.recv(buffer, peek | (whole ? MSG_TRUNC : 0), out);
    } catch (error) {
      // As Linux has it: after shutdown() of a connection that the peer has ended before.
      assert(error instanceof SysError && error.code === "ENOTCONN");
      this.#note(error.errno);
      return this.#atEnd(into);
    }
    this.#note(result);
    if (result === -1) return assert(!into.deaf);
    if (result === 0) return this.#atEnd(into);
    assert(!into.deaf, "recv() after shutdown(SHUT_RD)");
    const data = buffer.subarray(0, Math.min(result, buffer.length));
    assertEquals((out.flags & MSG_TRUNC) !== 0, result > buffer.length);
    const eor = (out.flags & MSG_EOR) !== 0;
    into.gave(data, { peek: peek !== 0, whole, length: result, eor });
  }

  #atEnd(into: Direction): void {
    if (into.deaf || this.#mortal) return;
    assert(into.ended, "end of stream without shutdown()");
    assertEquals(into.taken, into.sent, "end of stream before the last byte");
  }

  #map(end: End): void {
    const { mapping, into, held } = end;
    if (mapping === undefined || into.deaf) return;
    try {
      mapping.mapRx();
    } catch (error) {
      assert(error instanceof SysError && error.code === "EBUSY" && held.length > 0);
      return this.#note(error.errno);
    }
    const word = (i: number): number => Atomics.load(mapping.page0, i) >>> 0;
    if (held.length > 0) return assertEquals(word(1), 0);
    assert(word(1) <= mapping.dataPages);
    for (let page = 0, i = 2; page < word(1); i += 2) {
      const [length, flags] = [word(i), word(i + 1)];
      const view = mapping.lend(page, length);
      const last = this.#type === "seqpacket" && into.messages[0]!.left === length;
      assertEquals(flags, last ? (into.messages[0]!.eor ? 3 : 1) : 0);
      if (this.#type === "seqpacket") assert(length <= into.messages[0]!.left, "past a message");
      into.gave(view, {});
      end.held.push({ view, copy: view.slice() });
      page += Math.ceil(length / 4096);
      this.#note(length);
    }
  }

  #release(end: End): void {
    if (end.mapping === undefined) return;
    for (const { view, copy } of end.held) {
      assert(Buffer.compare(view, copy) === 0, "a view changed before its release");
    }
    end.mapping.advise();
    for (const { view } of end.held) assertEquals(view.length, 0, "a view outlives its release");
    end.held = [];
  }

  #setRcvlowat({ socket }: End, bytes: number): void {
    socket.setsockopt(SOL_SOCKET, SO_RCVLOWAT, new Uint8Array(Int32Array.of(bytes).buffer));
  }

  #growBuffer(end: End): void {
    end.buffer = Math.min(1 << 20, end.buffer + this.#below(100_000));
    end.socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, u64(end.buffer));
  }

  #shutdown({ socket, out, into }: End): void {
    const how = this.#random() < 0.7 ? SHUT_WR : SHUT_RD;
    socket.shutdown(how);
    if (how === SHUT_WR) out.ended = true;
    else into.deaf = true;
  }

  /** Everything that was sent arrives, then the end. */
  async #drain(): Promise<void> {
    for (const end of this.#ends) {
      this.#release(end);
      for (let idle = 0; idle < 200 && !end.into.deaf && end.into.taken < end.into.sent; idle++) {
        const before = end.into.taken;
        this.#receive(end, 0);
        if (end.into.taken > before) idle = 0;
        else await this.#turn();
      }
      if (!end.into.deaf && !this.#mortal) assertEquals(end.into.taken, end.into.sent, "lost");
    }
  }

  /** Lets packets and time go on. */
  async #turn(): Promise<void> {
    this.#clock.advance(this.#below(10));
    for (let i = this.#below(8); i >= 0; i--) await undefined;
  }

  #note(result: number): void {
    this.digest = (Math.imul(this.digest, 31) + result) >>> 0;
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  /** 1 to 131072, small ones as likely as large ones. */
  #length(): number {
    return Math.max(1, Math.floor(2 ** (this.#random() * 17)));
  }

  #pages(): number {
    return Math.floor(2 ** (this.#random() * 7));
  }
}

function u64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

/** Runs connections one after the other until `steps` calls were made: the digest of all. */
async function runModel(seed: number, steps: number): Promise<number> {
  let digest = 0;
  for (let done = 0, i = 0; done < steps; i++) {
    const model = new Model((seed + i) >>> 0);
    try {
      await model.run(STEPS_PER_CONNECTION);
    } catch (cause) {
      const where = `VSOCKIT_SEED=${(seed + i) >>> 0}, call ${model.steps}`;
      throw new Error(`${where}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
    done += model.steps;
    digest = (Math.imul(digest, 31) + model.digest) >>> 0;
  }
  return digest;
}

const given = process.env["VSOCKIT_SEED"];
const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);

test(`sockets keep to the model for ${STEPS} calls`, { timeout: 120_000 }, async (t) => {
  t.diagnostic(`VSOCKIT_SEED=${seed}`);
  await runModel(seed, STEPS);
});

test("createLoopback() with a seed replays the same run", { timeout: 60_000 }, async () => {
  assertEquals(await runModel(seed, 5_000), await runModel(seed, 5_000));
});
