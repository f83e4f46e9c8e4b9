/** Run by denied_test.ts: what is said in a sandbox, and what is left behind. */
import { EFD_CLOEXEC } from "../../ffi/abi/eventfd.ts";
import { AF_INET, AF_UNIX } from "../../ffi/abi/socket.ts";
import { AF_VSOCK } from "../../ffi/abi/vm_sockets.ts";
import { eventfd } from "../../ffi/libc.ts";
import { VsockError } from "../../src/error.ts";
import { GuestSocket } from "../../src/hybrid/guest_socket.ts";
import { openStream } from "../../src/hybrid/transport.ts";
import { probe } from "../../src/probe.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { takeEvents } from "../../src/vhost_user/eventfds.ts";
import { deny } from "./denied.ts";
import { UnixFolder } from "./unix_folder.ts";

function refusal(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error instanceof VsockError ? error.hint : String(error);
  }
}

using folder = new UnixFolder();
const unix = openStream("stream");
deny("setsockopt", "EPERM", unix.fd);
const guest = refusal(() =>
  new GuestSocket(unix, { cid: 3, hostPath: () => "", ports: new Map() })
);

const event = eventfd(1, EFD_CLOEXEC);
deny("preadv2", "EPERM", event);
const events = takeEvents(event);

deny("socket", "EACCES", AF_UNIX);
deny("socket", "EPERM", AF_INET);
deny("socket", "EPERM", AF_VSOCK);
const device = { socketPath: folder.path("device"), guestCid: 3 };
console.log(JSON.stringify({
  guest,
  closed: unix.closed,
  events,
  device: refusal(() => createVsockDevice(device)),
  ...Object.fromEntries(probe(["af_vsock", "zerocopy_tcp", "tcp_receive"])),
}));
