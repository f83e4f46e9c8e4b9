/** Servers that go on where what waiting takes has run out for a while. */
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { type Code, SysError } from "../../../ffi/errno.ts";
import { acceptPatiently } from "../../../src/cli/serving/accept.ts";
import type { VsockError } from "../../../src/error.ts";
import { serve } from "../../../src/http/serve.ts";
import { Listener } from "../../../src/listener.ts";
import { fakeSocket } from "../../helpers/fake_socket.ts";

/** What a first wait may lack, by the call beneath. */
const LACKS: readonly (readonly [op: string, code: Code])[] = [
  ["accept4", "EMFILE"],
  ["epoll_create1", "ENFILE"],
  ["epoll_ctl", "ENOMEM"],
  ["epoll_ctl", "ENOSPC"],
  ["pthread_create", "EAGAIN"],
];

/** A listener whose first waits fail so, and who is told when it waits again. */
function lacking(op: string, code: Code, onLast: () => void, failures = 1): Listener {
  let waits = 0;
  const wait = (): Promise<number> => {
    if (waits++ < failures) return Promise.reject(new SysError(op, code));
    onLast();
    return Promise.resolve(1);
  };
  const accept = () => waits > failures ? fakeSocket({}) : undefined;
  return new Listener(fakeSocket({ accept, wait }));
}

for (const [op, code] of LACKS) {
  test(`acceptPatiently() tries again after ${code} of ${op}, and tells of it`, async () => {
    const told: VsockError[] = [];
    const onFull = (error: VsockError): void => void told.push(error);
    using listener = lacking(op, code, () => {});
    using _conn = await acceptPatiently(listener, onFull);
    assertEquals(told.map((error) => error.code), [code]);
    assert(code === "ENOMEM" || told[0]?.hint !== undefined);
  });

  test(`serve() tries again after ${code} of ${op}`, async () => {
    const { promise: again, resolve } = Promise.withResolvers<void>();
    using listener = lacking(op, code, () => {
      listener.close();
      resolve();
    });
    const server = serve(listener, () => new Response());
    await Promise.all([again, server.finished]);
  });
}

test("acceptPatiently() tells each time how often it has told before", async () => {
  const told: number[] = [];
  using listener = lacking("accept4", "EMFILE", () => {}, 3);
  using _conn = await acceptPatiently(listener, (_, before) => void told.push(before));
  assertEquals(told, [0, 1, 2]);
});
