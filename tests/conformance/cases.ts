/**
 * Every case there is.
 *
 * @module
 */
import type { Case } from "./case.ts";
import { addressCases } from "./cases/address.ts";
import { closeCases } from "./cases/close.ts";
import { connCases } from "./cases/conn.ts";
import { connectCases } from "./cases/connect.ts";
import { creditCases } from "./cases/credit.ts";
import { listenerCases } from "./cases/listener.ts";
import { lossCases } from "./cases/loss.ts";
import { mapDataCases } from "./cases/map_data.ts";
import { mapErrnoCases } from "./cases/map_errno.ts";
import { optionCases } from "./cases/options.ts";
import { pollCases } from "./cases/poll.ts";
import { pollValueCases } from "./cases/poll_value.ts";
import { seqpacketCases } from "./cases/seqpacket.ts";
import { streamCases } from "./cases/stream.ts";
import { wireCases } from "./cases/wire.ts";
import { wireEndCases } from "./cases/wire_end.ts";
import { zeroCopyCases } from "./cases/zero_copy.ts";

/** What the cases are about, in the order they run. */
export const FEATURES: ReadonlyMap<string, readonly Case[]> = new Map([
  ["connections", [...addressCases, ...connectCases]],
  ["options", [...optionCases, ...pollCases]],
  ["streams", [...streamCases, ...creditCases, ...closeCases]],
  ["zero-copy send", zeroCopyCases],
  ["messages", seqpacketCases],
  ["zero-copy receive", [...mapErrnoCases, ...mapDataCases, ...pollValueCases]],
  ["packets", [...wireCases, ...wireEndCases]],
  ["the API", [...connCases, ...listenerCases]],
  ["loss of the peer", lossCases],
]);

/** All of them. */
export const CASES: readonly Case[] = [...FEATURES.values()].flat();
