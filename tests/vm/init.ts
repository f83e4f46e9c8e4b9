/**
 * What runs in the guest before and after the command.
 *
 * @module
 */
import { basename, dirname } from "node:path";

/** What the guest shall run. */
export interface Job {
  /** Loaded in this order. */
  readonly modules: readonly string[];
  /** Program and arguments. */
  readonly command: readonly string[];
  /** The folder to run it in. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Deno's store of npm packages, which is to be seen in the guest's own `DENO_DIR`. */
  readonly npmCache: string;
  /** Whether there is a port "control", which is for the command. */
  readonly control: boolean;
  /** Printed at the end of either port, the exit code and a newline behind it. */
  readonly mark: string;
}

/** Where the command finds its port; no udev is there to name it. */
export const CONTROL_PORT = "/dev/virtio-ports/control";

/**
 * The script that is the guest's first process.
 *
 * A step that fails ends it, which panics the kernel, which ends the guest. The machine's root is
 * the lower half of an overlay, and read-only from outside: QEMU holds to that, whatever is mounted
 * here. Port 1 gets the command's stdout, port 2 its stderr; pipes in between, since a port cannot
 * be opened twice, as a program does that opens /dev/stderr.
 */
export function initScript({ modules, command, cwd, env, npmCache, control, mark }: Job): string {
  const variables = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  const program = ["/usr/bin/env", "-i", "-C", cwd, ...variables, ...command].map(quoted).join(" ");
  return `#!/bin/busybox sh
set -ex
/bin/busybox mkdir -p /dev /proc /sys /lower /upper /guest
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in ${modules.join(" ")}; do insmod /modules/$module.ko; done
ip link set lo up
hostname guest

mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,noxattr,ro root /lower
mount -t tmpfs -o mode=755 upper /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /guest
cd /guest
mkdir -p proc sys dev run tmp results
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
mkdir dev/shm dev/pts
mount -t tmpfs shm dev/shm
mount -t devpts pts dev/pts
mount -t tmpfs -o mode=755 run run
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 results results
mkdir run/deno
ln -s ${quoted(npmCache)} run/deno/npm

until [ -e /dev/vport*p1 ] && [ -e /dev/vport*p2 ]; do sleep 0.1; done
${control ? NAME_CONTROL_PORT : ""}exec 3> "$(echo /dev/vport*p1)" 4> "$(echo /dev/vport*p2)"
mkfifo /out /err
cat /out >&3 &
out=$!
cat /err >&4 &
err=$!
ulimit -n 65536
set +e
chroot /guest ${program} < /dev/null > /out 2> /err 3>&- 4>&-
code=$?
# A process that was left behind may hold the pipes open.
(sleep 5; kill $out $err) 2> /dev/null &
wait $out $err
umount /guest/results
printf '${mark}%d\\n' $code >&3
printf '${mark}%d\\n' $code >&4
while true; do sleep 1000; done
`;
}

const NAME_CONTROL_PORT = `names=/sys/class/virtio-ports
until port=$(grep -lx ${basename(CONTROL_PORT)} $names/*/name); do sleep 0.1; done
mkdir ${dirname(CONTROL_PORT)}
ln -s "/dev/$(basename "$(dirname "$port")")" ${CONTROL_PORT}
`;

/** A word for the shell that stands for `text` itself. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
