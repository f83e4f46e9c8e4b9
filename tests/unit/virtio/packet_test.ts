import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { VIRTIO_VSOCK_HDR } from "../../../ffi/abi/virtio_vsock.ts";
import { decodeHeader, encodeHeader, HEADER_SIZE } from "../../../src/virtio/packet.ts";

const HEADER = {
  srcCid: 0xffff_fffe,
  dstCid: 0xffff_fffd,
  srcPort: 0xffff_fffc,
  dstPort: 0xffff_fffb,
  len: 0xffff_fffa,
  type: 0xfff9,
  op: 0xfff8,
  flags: 0xffff_fff7,
  bufAlloc: 0xffff_fff6,
  fwdCnt: 0xffff_fff5,
};

test("decodeHeader() reads what encodeHeader() has written, whatever was there before", () => {
  const view = new DataView(new Uint8Array(HEADER_SIZE).fill(0xff).buffer);
  encodeHeader(HEADER, view);
  assertEquals(decodeHeader(view), HEADER);
  encodeHeader(HEADER, view, 0, { len: 1, flags: 2 });
  assertEquals(decodeHeader(view), { ...HEADER, len: 1, flags: 2 });
});

test("decodeHeader() takes no CID over 32 bits", () => {
  const { at } = VIRTIO_VSOCK_HDR;
  for (const cid of [at.src_cid, at.dst_cid]) {
    for (const byte of [4, 7]) {
      const view = new DataView(new ArrayBuffer(HEADER_SIZE));
      encodeHeader(HEADER, view);
      view.setUint8(cid + byte, 1);
      assertEquals(decodeHeader(view), undefined);
    }
  }
});
