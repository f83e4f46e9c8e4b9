/**
 * One call of libc fails, then another one: each of a scenario in its turn.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { EPOLL_CTL_ADD } from "../../../ffi/abi/epoll.ts";
import { MSG_ERRQUEUE } from "../../../ffi/abi/socket.ts";
import { SysError } from "../../../ffi/errno.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { type CallName, type Decision, FaultyLibc } from "../../helpers/faulty_libc.ts";

/** What a call can come to where nothing is wrong: nobody is to notice. */
const HARMLESS: Readonly<Partial<Record<CallName, readonly Decision[]>>> = {
  bind: ["EINTR"],
  accept4: ["EAGAIN", "EINTR"],
  connect: ["EINTR"],
  send: ["EAGAIN", "EINTR"],
  recv: ["EAGAIN", "EINTR"],
  recvmsg: ["EAGAIN", "EINTR"],
  poll: ["EINTR", 0],
  ppoll: ["EINTR", 0],
  epoll_wait: ["EINTR", 0],
  io_submit: ["EINTR"],
  io_getevents: ["EINTR"],
  ftruncate: ["EINTR"],
  close: ["EINTR"],
};

/** What a call can fail with. close(2) of what is ours has no such thing, nor has munmap(2). */
const FAILURES: Readonly<Partial<Record<CallName, readonly Decision[]>>> = {
  socket: ["EMFILE", "ENOBUFS"],
  bind: ["ENOMEM"],
  listen: ["EADDRINUSE"],
  accept4: ["EMFILE"],
  connect: ["EAGAIN", "ECONNREFUSED"],
  getsockname: ["ENOBUFS"],
  getpeername: ["ENOBUFS"],
  getsockopt: ["ENOMEM", "EINVAL"],
  setsockopt: ["ENOMEM", "EPERM"],
  send: ["ENOBUFS", "ECONNRESET"],
  recv: ["ENOMEM", "ECONNRESET"],
  recvmsg: ["ENOMEM", "ECONNRESET"],
  poll: ["ENOMEM"],
  ppoll: ["ENOMEM"],
  epoll_create1: ["EMFILE"],
  epoll_ctl: ["ENOMEM", "ENOSPC"],
  eventfd: ["EMFILE"],
  ioctl: ["EINVAL"],
  fcntl: ["EPERM"],
  lseek: ["EINVAL"],
  fstatfs: ["ENOMEM"],
  ftruncate: ["ENOSPC"],
  memfd_create: ["EMFILE"],
  mmap: ["ENOMEM", "EAGAIN"],
  mremap: ["ENOMEM"],
  madvise: ["EINVAL"],
  io_setup: ["EAGAIN"],
  io_submit: ["EAGAIN"],
};

/** Of one call so many are tried, from the first on: the rest is more of the same. */
const MOST = 12;
/** A run that takes longer hangs, in milliseconds. */
const HANGS_MS = 30_000;

/** Something that is done with libc, and leaves nothing behind. */
export type Scenario = () => Promise<void> | void;

/** Runs `scenario` again and again, and each time another call fails. */
export async function sweep(scenario: Scenario): Promise<void> {
  await openReactor();
  await scenario();
  const counts = await countCalls(scenario);
  for (const [name, count] of counts) {
    for (let nth = 1; nth <= Math.min(count, MOST); nth++) {
      for (const how of HARMLESS[name] ?? []) await runWith(scenario, { name, nth, how }, true);
      for (const how of FAILURES[name] ?? []) await runWith(scenario, { name, nth, how }, false);
    }
  }
}

/** Has this thread open what it opens once. */
async function openReactor(): Promise<void> {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  await assertRejects(() => listener.accept({ timeoutMs: 1 }), VsockError, "ETIMEDOUT");
}

async function countCalls(scenario: Scenario): Promise<ReadonlyMap<CallName, number>> {
  const counts = new Map<CallName, number>();
  using libc = new FaultyLibc((name) => void counts.set(name, (counts.get(name) ?? 0) + 1));
  await scenario();
  await nothingLeft(libc, "without a fault");
  return counts;
}

interface Fault {
  readonly name: CallName;
  readonly nth: number;
  readonly how: Decision;
}

async function runWith(scenario: Scenario, fault: Fault, harmless: boolean): Promise<void> {
  const { name: wanted, nth, how } = fault;
  const label = `${wanted} number ${nth}: ${how}`;
  let calls = 0;
  {
    using libc = new FaultyLibc((name, args) => {
      const hit = name === wanted && (harmless || mayFail(name, args)) && mayGive(fault, args);
      return hit && ++calls === nth ? how : undefined;
    });
    try {
      await inTime(scenario);
    } catch (cause) {
      const told = cause instanceof VsockError || cause instanceof SysError;
      if (harmless || !told || calls < nth) throw new Error(label, { cause });
    }
    await nothingLeft(libc, label);
  }
  try {
    await inTime(scenario);
  } catch (cause) {
    throw new Error(`${label}: the next run`, { cause });
  }
}

/** Nothing is wrong with an error queue that can be read, nor with a change to an epoll. */
function mayFail(name: CallName, args: readonly unknown[]): boolean {
  if (name === "recvmsg") return (Number(args[2]) & MSG_ERRQUEUE) === 0;
  return name !== "epoll_ctl" || args[1] === EPOLL_CTL_ADD;
}

/** A look, which waits for nothing, has no time that could be over. */
function mayGive({ name, how }: Fault, args: readonly unknown[]): boolean {
  return name !== "poll" || how !== 0 || args[2] !== 0;
}

async function inTime(scenario: Scenario): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("it hangs")), HANGS_MS);
  try {
    await Promise.race([scenario(), promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** What the kernel has yet to give back, as after a zero-copy write, it may take a moment for. */
async function nothingLeft({ open, mapped }: FaultyLibc, label: string): Promise<void> {
  for (let turn = 0; turn < 5_000 && open.size + mapped.size > 0; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals({ open: [...open], mapped: [...mapped] }, { open: [], mapped: [] }, label);
}
