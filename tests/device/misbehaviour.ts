/**
 * What a front end may do wrong. After each of these the device hangs up.
 *
 * @module
 */
import { EFD_CLOEXEC } from "../../ffi/abi/eventfd.ts";
import { F_ADD_SEALS, F_SEAL_SHRINK, O_CLOEXEC } from "../../ffi/abi/fcntl.ts";
import { MFD_ALLOW_SEALING, MFD_CLOEXEC } from "../../ffi/abi/mman.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { close, eventfd, fcntl, ftruncate, pipe2 } from "../../ffi/file_calls.ts";
import { memfd_create } from "../../ffi/mman_calls.ts";
import { socketpair } from "../../ffi/socket_calls.ts";
import { epoll_create1 } from "../../ffi/wait_calls.ts";
import { RX, TX } from "../../src/vhost_user/guest.ts";
import { type Region, REQUEST } from "../../src/vhost_user/protocol.ts";
import { concat, memoryTable, type RingSetup, type Sending, u32s, u64s } from "./front_end.ts";
import { opened } from "./lab.ts";
import type { Machine } from "./machine.ts";

/** One thing that a front end does after the handshake. */
export interface Misbehaviour {
  /** Completes "the device hangs up on". */
  readonly name: string;
  /** What `onFault` is told. */
  readonly fault: RegExp;
  run(machine: Machine): Promise<void>;
}

const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);
const WHOLE = /must be whole/;
const SIZE = /payload must be/;
const MEMORY = /memory table|region|regions|Cannot map|mmap/;

/** Calls `use` with descriptors, and closes them. */
async function lending(fds: readonly number[], use: () => Promise<void>): Promise<void> {
  try {
    await use();
  } finally {
    for (const fd of fds) close(fd);
  }
}

function message(
  name: string,
  fault: RegExp,
  request: number,
  body: Uint8Array,
  how?: Sending,
): Misbehaviour {
  return { name, fault, run: ({ frontEnd }) => frontEnd.post(request, body, how) };
}

/** A message that ends within, with an eventfd beside it. */
function broken(name: string, cut: number): Misbehaviour {
  return {
    name,
    fault: WHOLE,
    async run({ frontEnd, rings }) {
      const how = { fds: [rings[0].kick], cut };
      await frontEnd.post(REQUEST.SET_VRING_KICK, u64s(0), how);
      frontEnd.end();
    },
  };
}

const HUGE = 0xffff_ffff;
const frames: readonly Misbehaviour[] = [
  broken("the end of the stream within a header", 5),
  broken("the end of the stream behind a header", 12),
  broken("the end of the stream within a payload", 17),
  message("a payload of 1025 bytes", SIZE, REQUEST.SET_FEATURES, new Uint8Array(1_025)),
  message("a payload of 4 GiB", SIZE, REQUEST.SET_FEATURES, NOTHING, { size: HUGE }),
  message("no version", /version 1/, REQUEST.GET_FEATURES, NOTHING, { flags: 0 }),
  message("version 2", /version 1/, REQUEST.GET_FEATURES, NOTHING, { flags: 2 }),
  message("version 3", /version 1/, REQUEST.GET_FEATURES, NOTHING, { flags: 3 }),
  message("a reply", /version 1/, REQUEST.GET_FEATURES, NOTHING, { flags: 5 }),
  ...[0, 7, 17, 19, 25, 31, 47, 1_000, HUGE].map((request) =>
    message(`request ${request}`, /a known one/, request, NOTHING)
  ),
];

const sizes: readonly Misbehaviour[] = [
  message("features of 4 bytes", SIZE, REQUEST.SET_FEATURES, new Uint8Array(4)),
  message("features of 9 bytes", SIZE, REQUEST.SET_FEATURES, new Uint8Array(9)),
  message("features that were not offered", /offered/, REQUEST.SET_FEATURES, u64s(1n << 63n)),
  message("protocol features likewise", /offered/, REQUEST.SET_PROTOCOL_FEATURES, u64s(1)),
  message("a ring's size of 4 bytes", SIZE, REQUEST.SET_VRING_NUM, u32s(0)),
  message("a ring's size of 12 bytes", SIZE, REQUEST.SET_VRING_NUM, u32s(0, 128, 0)),
  message("a ring's address of 32 bytes", SIZE, REQUEST.SET_VRING_ADDR, new Uint8Array(32)),
  message("a kick of 4 bytes", SIZE, REQUEST.SET_VRING_KICK, u32s(0)),
  message("a configuration of 4 bytes", SIZE, REQUEST.GET_CONFIG, u32s(0)),
  message("a configuration that is shorter than it says", SIZE, REQUEST.GET_CONFIG, u32s(0, 8, 0)),
  message("a configuration of 4 GiB", SIZE, REQUEST.GET_CONFIG, u32s(0, HUGE, 0)),
  message("a base of nothing", SIZE, REQUEST.GET_VRING_BASE, NOTHING),
];

/** A message with the descriptors that `fds` makes; they are closed once it is sent. */
function withFds(
  name: string,
  fault: RegExp,
  request: number,
  body: Uint8Array,
  fds: () => readonly number[],
): Misbehaviour {
  return {
    name,
    fault,
    async run({ frontEnd }) {
      const lent = fds();
      await lending(lent, () => frontEnd.post(request, body, { fds: lent }));
    },
  };
}

const events = (count: number) => (): readonly number[] =>
  Array.from({ length: count }, () => eventfd(0, EFD_CLOEXEC));
const FURTHER = /no further descriptors/;

const descriptors: readonly Misbehaviour[] = [
  message("a kick without a descriptor", /must come along/, REQUEST.SET_VRING_KICK, u64s(0)),
  message("a call without a descriptor", /must come along/, REQUEST.SET_VRING_CALL, u64s(0)),
  message("a ring that has no kick", /must have a kick/, REQUEST.SET_VRING_KICK, u64s(0x100)),
  withFds("a descriptor for nothing", FURTHER, REQUEST.GET_FEATURES, NOTHING, events(1)),
  withFds("two calls at once", FURTHER, REQUEST.SET_VRING_CALL, u64s(0), events(2)),
  withFds("a descriptor for no call", FURTHER, REQUEST.SET_VRING_CALL, u64s(0x100), events(1)),
  withFds("9 descriptors", /8 descriptors/, REQUEST.SET_VRING_CALL, u64s(0), events(9)),
  withFds("the call of ring 3", /index/, REQUEST.SET_VRING_CALL, u64s(3), events(1)),
  withFds("a kick before there is memory", /table/, REQUEST.SET_VRING_KICK, u64s(0), events(1)),
  {
    name: "a descriptor behind the header",
    fault: /must come along/,
    async run({ frontEnd, rings }) {
      await frontEnd.write(u32s(REQUEST.SET_VRING_CALL, 1, 8));
      await frontEnd.write(u64s(0), [rings[0].call]);
    },
  },
];

/** A memory table like that of the machine, but for what `change` makes of its regions. */
function table(name: string, change: (regions: Region[]) => Region[]): Misbehaviour {
  return {
    name,
    fault: MEMORY,
    async run({ frontEnd, ram }) {
      const regions = change([...ram.regions]);
      const how = { fds: regions.map(() => ram.fd) };
      await frontEnd.post(REQUEST.SET_MEM_TABLE, memoryTable(regions), how);
    },
  };
}

/** The first region, changed. */
function first(name: string, change: Partial<Region>): Misbehaviour {
  return table(name, ([low, high]) => [{ ...low!, ...change }, high!]);
}

const SEALED = /must be a memfd with F_SEAL_SHRINK/;

/** A memory table of one region in a file that `open` makes. */
function file(name: string, open: () => number, fault = SEALED): Misbehaviour {
  return {
    name: `memory in ${name}`,
    fault,
    async run({ frontEnd }) {
      const fd = open();
      const region = { guestAddress: 0, size: 0x1_0000, userAddress: 0, offset: 0 };
      const how = { fds: [fd] };
      const body = memoryTable([region]);
      await lending([fd], () => frontEnd.post(REQUEST.SET_MEM_TABLE, body, how));
    },
  };
}

function memfd(length: number, seals: number): number {
  const fd = memfd_create("vsockit-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ftruncate(fd, length);
  fcntl(fd, F_ADD_SEALS, seals);
  return fd;
}

function readOnly(): number {
  const fd = memfd(0x1_0000, F_SEAL_SHRINK);
  try {
    return opened(`/proc/self/fd/${fd}`, "r");
  } finally {
    close(fd);
  }
}

/** One of two, the other of which is closed. */
function half([kept, other]: readonly [number, number]): number {
  close(other);
  return kept;
}

const memory: readonly Misbehaviour[] = [
  message("a table without a count", MEMORY, REQUEST.SET_MEM_TABLE, u32s(1)),
  message("a table of no regions", MEMORY, REQUEST.SET_MEM_TABLE, memoryTable([])),
  message("a table of 9 regions", MEMORY, REQUEST.SET_MEM_TABLE, memoryTable([], 9)),
  message("a table of 4 billion", MEMORY, REQUEST.SET_MEM_TABLE, memoryTable([], HUGE)),
  {
    name: "memory without its descriptor",
    fault: /must come along/,
    run: ({ frontEnd, ram }) =>
      frontEnd.post(REQUEST.SET_MEM_TABLE, memoryTable(ram.regions), { fds: [ram.fd] }),
  },
  {
    name: "memory with one descriptor more",
    fault: FURTHER,
    run: ({ frontEnd, ram: { fd, regions } }) =>
      frontEnd.post(REQUEST.SET_MEM_TABLE, memoryTable(regions), { fds: [fd, fd, fd] }),
  },
  table("regions that overlap", ([low, high]) => [{ ...low!, guestAddress: 0xffff_ffff }, high!]),
  table("a region that is there twice", ([low]) => [low!, low!]),
  first("a region of no bytes", { size: 0 }),
  first("a region of 2^53 bytes", { size: 2 ** 53 }),
  first("a region that ends past 2^53", { guestAddress: 2 ** 53 - 4096 }),
  first("a region past the end of its file", { offset: 0x100_0000 }),
  first("a region with its last byte past that", { offset: 0x100_0000 - 0xa_0000 + 1 }),
  first("a region of a TiB", { guestAddress: 2 ** 50, size: 2 ** 40 }),
  file("a memfd that can shrink", () => memfd(0x1_0000, 0)),
  file("a memfd that is too short", () => memfd(0x1_0000 - 1, F_SEAL_SHRINK), MEMORY),
  file("a memfd that is read-only", readOnly, MEMORY),
  file("a file on a disk", () => opened(import.meta.filename!, "r")),
  file("/dev/zero", () => opened("/dev/zero", "r+")),
  file("an eventfd", () => eventfd(0, EFD_CLOEXEC)),
  file("a pipe", () => half(pipe2(O_CLOEXEC))),
  file("a socket", () => half(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC))),
];

/** A ring that is set up wrongly, after memory was. */
function ring(
  name: string,
  fault: RegExp,
  change: (setup: RingSetup) => Partial<RingSetup>,
  index: number = TX,
): Misbehaviour {
  return {
    name,
    fault,
    async run({ frontEnd, ram, rings }) {
      await frontEnd.setMemory(ram.regions, ram.fd);
      const setup = rings[TX].setup;
      await frontEnd.setRing(index, { ...setup, ...change(setup) });
    },
  };
}

/** Something else for the transmit ring of a guest that is up. */
function running(name: string, change: (machine: Machine) => Promise<void>): Misbehaviour {
  return {
    name: `another ${name} of a ring that runs`,
    fault: /must be stopped/,
    async run(machine) {
      await machine.boot();
      await change(machine);
    },
  };
}

const NUM = /power of 2/;
const LIES = /lie within memory/;

const rings: readonly Misbehaviour[] = [
  ...[0, 3, 127, 65_536, 2 ** 31, HUGE].map((num) =>
    ring(`a ring of ${num} descriptors`, NUM, () => ({ num }))
  ),
  ring("a base of 65536", /16 bits/, () => ({ base: 65_536 })),
  ring("ring 3", /index/, () => ({}), 3),
  ring("ring 4294967295", /index/, () => ({}), HUGE),
  ring("a ring at guest-physical addresses", LIES, () => ({ desc: 0x1_0000_0000 })),
  ring("a ring at 0", LIES, () => ({ desc: 0, used: 0, avail: 0 })),
  ring("a ring for events at 0", LIES, () => ({ desc: 0, used: 0, avail: 0 }), 2),
  ring("a ring past 2^53", /53 bits/, () => ({ used: 2 ** 53 })),
  ring("descriptors at an odd place", LIES, ({ desc }) => ({ desc: desc + 8 })),
  ring("an available ring at an odd place", LIES, ({ avail }) => ({ avail: avail + 1 })),
  ring("a used ring at an odd place", LIES, ({ used }) => ({ used: used + 2 })),
  {
    name: "a ring past the end of its region",
    fault: LIES,
    async run({ frontEnd, ram, rings }) {
      await frontEnd.setMemory(ram.regions, ram.fd);
      const { userAddress, size } = ram.regions[0]!;
      const desc = userAddress + size - 16 * 128 + 16;
      await frontEnd.setRing(RX, { ...rings[RX].setup, desc });
    },
  },
  {
    name: "a ring with a log",
    fault: /without a log/,
    async run({ frontEnd, ram, rings }) {
      await frontEnd.setMemory(ram.regions, ram.fd);
      const { desc, used, avail } = rings[RX].setup;
      const body = concat(u32s(RX, 1), u64s(desc, used, avail, 0));
      await frontEnd.post(REQUEST.SET_VRING_ADDR, body);
    },
  },
  {
    name: "a kick before the ring has a size",
    fault: /before it is started/,
    async run({ frontEnd, ram, rings }) {
      await frontEnd.setMemory(ram.regions, ram.fd);
      await frontEnd.setEvent(REQUEST.SET_VRING_KICK, RX, rings[RX].kick);
    },
  },
  running("size", ({ frontEnd }) => frontEnd.post(REQUEST.SET_VRING_NUM, u32s(TX, 64))),
  running("base", ({ frontEnd }) => frontEnd.post(REQUEST.SET_VRING_BASE, u32s(TX, 1))),
  running("address", ({ frontEnd, rings }) => {
    const { desc, used, avail } = rings[RX].setup;
    const body = concat(u32s(TX, 0), u64s(desc, used, avail, 0));
    return frontEnd.post(REQUEST.SET_VRING_ADDR, body);
  }),
];

/** A machine whose guest is up and whose transmit ring gets something that is no eventfd. */
function noEventFd(event: "kick" | "call" | "err", name: string, open: () => number): Misbehaviour {
  const request = REQUEST[`SET_VRING_${event.toUpperCase() as "KICK" | "CALL" | "ERR"}`];
  return {
    name: `a ${event} that is ${name}`,
    fault: new RegExp(`${event} must be an eventfd`),
    async run(machine) {
      await machine.boot();
      const fd = open();
      await lending([fd], () => machine.frontEnd.setEvent(request, TX, fd));
    },
  };
}

/** By name; the other end of what has two is closed. */
const NO_EVENTFDS: Readonly<Record<string, () => number>> = {
  "a pipe to read from": () => pipe(0),
  "a pipe to write to": () => pipe(1),
  "a socket": () => half(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)),
  "a device": () => opened("/dev/full", "r+"),
  "a file": () => opened(import.meta.filename!, "r"),
  "a folder": () => opened("/", "r"),
  "a memfd": () => memfd(8, F_SEAL_SHRINK),
  "an epoll": () => epoll_create1(O_CLOEXEC),
};

function pipe(kept: 0 | 1): number {
  const ends = pipe2(O_CLOEXEC);
  close(ends[1 - kept]!);
  return ends[kept];
}

const eventFds: readonly Misbehaviour[] = [
  ...Object.entries(NO_EVENTFDS).map(([name, open]) => noEventFd("kick", name, open)),
  ...Object.entries(NO_EVENTFDS).map(([name, open]) => noEventFd("call", name, open)),
  noEventFd("err", "a pipe to write to", () => pipe(1)),
];

/** All of them. */
export const MISBEHAVIOUR: readonly Misbehaviour[] = [
  ...frames,
  ...sizes,
  ...descriptors,
  ...memory,
  ...rings,
  ...eventFds,
];
