/** Run by denied_test.ts: what is said in a sandbox, and what is left behind. */
import { EFD_CLOEXEC } from "../../../ffi/abi/eventfd.ts";
import { MAP_SHARED } from "../../../ffi/abi/mman.ts";
import { AF_INET, AF_UNIX } from "../../../ffi/abi/socket.ts";
import { AF_VSOCK } from "../../../ffi/abi/vm_sockets.ts";
import { eventfd } from "../../../ffi/libc.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { GuestSocket } from "../../../src/hybrid/guest_socket.ts";
import { openStream } from "../../../src/hybrid/transport.ts";
import { listen } from "../../../src/listen.ts";
import { probe } from "../../../src/probe.ts";
import { createVsockDevice } from "../../../src/vhost_user/device.ts";
import { takeEvents } from "../../../src/vhost_user/eventfds.ts";
import { deny } from "./denied.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

function refusal(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error instanceof VsockError ? error.hint : String(error);
  }
}

/** Whether pages of TCP are received all the same, by copy. */
async function receivesTcp(): Promise<boolean> {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  using near = await connect(listener.addr);
  using far = await listener.accept();
  await near.write(new Uint8Array(8));
  deny("mmap", "EACCES", MAP_SHARED, 3);
  using receiver = far.receiver();
  using batch = await receiver.receive();
  return batch?.byteLength === 8 && !batch.mapped;
}

const tcp = await receivesTcp();
using folder = new TempFolder();
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
  tcp,
  closed: unix.closed,
  events,
  device: refusal(() => createVsockDevice(device)),
  ...Object.fromEntries(probe(["af_vsock", "zerocopy_tcp", "tcp_receive"])),
}));
