/** The ports of a guest behind Unix sockets, with the loopback for a device. */
import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import type { HybridAddress } from "../../../src/address.ts";
import { Bridge } from "../../../src/cli/device/bridge.ts";
import type { Refusal } from "../../../src/cli/device/log.ts";
import { Sessions } from "../../../src/cli/device/sessions.ts";
import type { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback, type LoopbackOptions } from "../../../src/loopback/mod.ts";
import type { Transport } from "../../../src/transport.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

const WAIT = { timeout: 60_000 };
const [CID, PORT, MOST] = [1, 1024, 3];

/** A bridge whose guest may have {@linkcode MOST} connections, at its path. */
class Lab implements Disposable {
  readonly path: string;
  readonly device: Transport;
  readonly bridge: Bridge;
  readonly reasons: string[] = [];
  readonly #folder: TempFolder = new TempFolder();

  constructor(options: LoopbackOptions = {}) {
    this.path = this.#folder.path("v");
    this.device = createLoopback(options);
    const tell = (_key: string, { reason }: Refusal): void => void this.reasons.push(reason);
    const sessions = new Sessions(() => {}, MOST);
    this.bridge = new Bridge(CID, this.path, { device: this.device, sessions, repeats: { tell } });
  }

  /** A connection of the host. The caller closes it. */
  connect(): Promise<Conn<HybridAddress>> {
    return connect({ path: this.path, port: PORT });
  }

  [Symbol.dispose](): void {
    this.bridge.close();
    this.#folder[Symbol.dispose]();
  }
}

test("Bridge has no more connections than its guest may have, whoever begins", WAIT, async () => {
  using lab = new Lab();
  using listener = listen({ cid: CID, port: PORT }, { transport: lab.device });
  using held = new DisposableStack();
  for (let count = 0; count < MOST; count++) {
    held.use(await lab.connect());
    held.use(await listener.accept());
  }
  const { code } = await assertRejects(() => lab.connect(), VsockError);
  lab.bridge.fromGuest(PORT, "stream", () => {
    throw new Error("accepted");
  });
  assertEquals([code, ...lab.reasons], ["ECONNRESET", ...Array(2).fill("it has 3 connections")]);
});

test("Bridge counts connections that the guest has not taken yet", WAIT, async () => {
  using lab = new Lab({ faults: { dropAfterBytes: 0 } });
  const begun = Array.from({ length: MOST + 1 }, () => assertRejects(() => lab.connect()));
  await Promise.race(begun);
  assertEquals(lab.reasons, ["it has 3 connections"]);
  lab.bridge.close();
  await Promise.all(begun);
});
