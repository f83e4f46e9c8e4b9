/**
 * `<linux/virtio_ring.h>`: the split virtqueue, in memory that a driver and a device share. Little
 * endian, as virtio 1 has it.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** Descriptor flag: the chain goes on at `next`. */
export const VRING_DESC_F_NEXT = 1;
/** Descriptor flag: the device writes to the buffer, and does not read it. */
export const VRING_DESC_F_WRITE = 2;
/** Descriptor flag: the buffer is a table of descriptors. */
export const VRING_DESC_F_INDIRECT = 4;
/** `flags` of the used ring: the device asks for no kicks. Void with `VIRTIO_RING_F_EVENT_IDX`. */
export const VRING_USED_F_NO_NOTIFY = 1;
/** `flags` of the available ring: the driver asks for no calls. Void likewise. */
export const VRING_AVAIL_F_NO_INTERRUPT = 1;
/** Feature bit: descriptors may be `VRING_DESC_F_INDIRECT`. */
export const VIRTIO_RING_F_INDIRECT_DESC = 28;
/** Feature bit: kicks and calls are asked for by index, in `avail_event` and `used_event`. */
export const VIRTIO_RING_F_EVENT_IDX = 29;
/** Alignment of the available ring in bytes. */
export const VRING_AVAIL_ALIGN_SIZE = 2;
/** Alignment of the used ring in bytes. */
export const VRING_USED_ALIGN_SIZE = 4;
/** Alignment of the descriptor table in bytes. */
export const VRING_DESC_ALIGN_SIZE = 16;

/** `struct vring_desc`: one buffer in guest memory. */
export const VRING_DESC: Layout<"addr" | "len" | "flags" | "next"> = layout(
  "struct vring_desc",
  "linux/virtio_ring.h",
  {
    addr: "u64", // guest-physical
    len: "u32", // bytes
    flags: "u16", // VRING_DESC_F_*
    next: "u16", // index, where VRING_DESC_F_NEXT is set
  },
);

/** `struct vring_avail` without its `ring[]`, which follows: u16 heads, then u16 `used_event`. */
export const VRING_AVAIL: Layout<"flags" | "idx"> = layout(
  "struct vring_avail",
  "linux/virtio_ring.h",
  {
    flags: "u16", // VRING_AVAIL_F_*
    idx: "u16", // where the driver writes next, modulo 2^16
  },
);

/**
 * `struct vring_used_elem`. `struct vring_used` is u16 `flags` and `idx` as in {@linkcode
 * VRING_AVAIL}, then these, then u16 `avail_event`.
 */
export const VRING_USED_ELEM: Layout<"id" | "len"> = layout(
  "struct vring_used_elem",
  "linux/virtio_ring.h",
  {
    id: "u32", // head of the chain
    len: "u32", // bytes that the device has written
  },
);

/**
 * `vring_need_event()`: whether an index that went from `old` to `new_idx` has passed `event_idx`,
 * which the other side waits for. All are unsigned 16-bit and wrap.
 */
export function vring_need_event(event_idx: number, new_idx: number, old: number): boolean {
  return ((new_idx - event_idx - 1) & 0xffff) < ((new_idx - old) & 0xffff);
}
