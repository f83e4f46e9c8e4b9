/**
 * All benches, in the order of the table.
 *
 * @module
 */
import { answers } from "./answer_bench.ts";
import { autoLoopback, autoTcp, autoVsock } from "./auto_bench.ts";
import type { Bench } from "./bench.ts";
import { dequeue } from "./dequeue_bench.ts";
import { device, deviceNotifications } from "./device_bench.ts";
import { ffi } from "./ffi_bench.ts";
import { hybrid } from "./hybrid_bench.ts";
import { http } from "./http_bench.ts";
import { importing } from "./import_bench.ts";
import { kernelCalls } from "./kernel_calls_bench.ts";
import { kernelDequeue } from "./kernel_dequeue_bench.ts";
import { kernelIdle } from "./kernel_idle_bench.ts";
import { kernelRoundtrip } from "./kernel_roundtrip_bench.ts";
import { kernelSend } from "./kernel_send_bench.ts";
import { kernelThroughput } from "./kernel_throughput_bench.ts";
import { memory } from "./memory_bench.ts";
import { isOnPath } from "./on_path.ts";
import { proxy } from "./proxy_bench.ts";
import { roundtrip } from "./roundtrip_bench.ts";
import { tcpMmapReceive, tcpReceive } from "./tcp_bench.ts";
import { throughput } from "./throughput_bench.ts";

/** What needs nothing but the runtimes: `deno task bench`. */
export const BENCHES: readonly Bench[] = [
  throughput,
  dequeue,
  autoLoopback,
  roundtrip,
  answers,
  http,
  ffi,
  memory,
  importing,
  hybrid,
  ...(isOnPath("socat") ? [proxy] : []),
];

/** What needs a C compiler and TCP that can be mapped: `deno task bench:tcp`. */
export const TCP_BENCHES: readonly Bench[] = [
  tcpReceive,
  ...(isOnPath("apt-get") ? [tcpMmapReceive] : []),
  autoTcp,
];

/** What needs QEMU, which boots guests: `deno task bench:device`. */
export const DEVICE_BENCHES: readonly Bench[] = [device, deviceNotifications];

/** What needs AF_VSOCK with vsock_loopback: `deno task bench:kernel`. */
export const KERNEL_BENCHES: readonly Bench[] = [
  kernelThroughput,
  kernelRoundtrip,
  kernelIdle,
  ...(isOnPath("strace") ? [kernelCalls] : []),
  kernelSend,
];

/** What needs a kernel with the receive ABI too. */
export const MAPPING_BENCHES: readonly Bench[] = [kernelDequeue, autoVsock];

/** All there are, whatever they need. */
export const ALL_BENCHES: readonly Bench[] = [
  ...BENCHES,
  ...TCP_BENCHES,
  ...DEVICE_BENCHES,
  ...KERNEL_BENCHES,
  ...MAPPING_BENCHES,
];
