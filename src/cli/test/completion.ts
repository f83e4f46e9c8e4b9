/**
 * The error queue of a socket, with all that `vsock_test` expects of a record.
 *
 * @module
 */
import { SOL_VSOCK } from "../../../ffi/abi/socket.ts";
import { VSOCK_RECVERR } from "../../../ffi/abi/vm_sockets.ts";
import { type ErrorRecord, takeErrorRecord } from "../../send/error_queue.ts";
import { expect } from "./check.ts";

/** Takes one record from the error queue; `undefined` for none. */
export function takeCompletion(fd: number): ErrorRecord | undefined {
  const record = takeErrorRecord(fd);
  if (record === undefined) return undefined;
  expect("cmsg_level", record.level, SOL_VSOCK);
  expect("cmsg_type", record.type, VSOCK_RECVERR);
  expect("zero-copy by ee_origin", String(record.zeroCopy), "true");
  expect("ee_errno", record.errno, 0);
  return record;
}
