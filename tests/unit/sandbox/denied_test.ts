/** In a sandbox, such as a container has by its seccomp profile. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { runChild } from "../../helpers/child.ts";

const forbidden = (why: string, cure: string): object => ({ ok: false, why, cure });

test(
  "probe() and others say what a sandbox forbids, do without where they can, and leave nothing behind",
  {
    timeout: 60_000,
  },
  async () => {
    const notTcp = forbidden(
      "a sandbox forbids such sockets",
      "run with a profile that allows them",
    );
    assertEquals(JSON.parse(await runChild(new URL("./denied_child.ts", import.meta.url))), {
      guest: "SysError: setsockopt: EPERM (errno 1)",
      tcp: true,
      closed: true,
      events: 8,
      device: "a sandbox forbids such sockets: run with a profile that allows them",
      af_vsock: forbidden(
        "a sandbox forbids AF_VSOCK, as most containers do",
        "run with a seccomp profile that allows it",
      ),
      zerocopy_tcp: notTcp,
      tcp_receive: notTcp,
    });
  },
);
