/**
 * The tests of `vsock_test` as Linux 6.12 has them. Their places are what goes over the wire: a new
 * one joins at the end.
 *
 * @module
 */
import type { TestCase } from "./case.ts";
import * as connection from "./cases/connection.ts";
import * as fault from "./cases/fault.ts";
import * as messages from "./cases/messages.ts";
import * as peek from "./cases/peek.ts";
import * as readiness from "./cases/readiness.ts";
import * as shutdown from "./cases/shutdown.ts";
import * as zerocopy from "./cases/zerocopy.ts";

/** All of them; a test's ID is its index. */
export const CASES: readonly TestCase[] = [
  connection.connectionReset,
  connection.bindOnly,
  connection.clientClose,
  connection.serverClose,
  connection.multipleConnections,
  peek.streamPeek,
  messages.messageBounds,
  messages.messageTrunc,
  messages.timeout,
  fault.holeInBuffer,
  readiness.pollRcvlowat,
  messages.bigMessage,
  fault.streamNoBuffer,
  fault.seqpacketNoBuffer,
  readiness.skbMerge,
  peek.seqpacketPeek,
  shutdown.shutWr,
  shutdown.shutRd,
  zerocopy.streamZeroCopy,
  zerocopy.seqpacketZeroCopy,
  zerocopy.emptyErrorQueue,
  connection.doubleBindConnect,
  readiness.creditUpdateOnRcvlowat,
  readiness.creditUpdateOnLowBytes,
  readiness.streamUnsentBytes,
  readiness.seqpacketUnsentBytes,
];
