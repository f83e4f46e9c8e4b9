// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zero-copy receive for AF_VSOCK: packets in pages.
 *
 * Such a packet is an skb whose payload is whole pages of its own, from their first
 * byte on, zeros behind the last byte, and nobody else's: these pages, and no
 * others, may be mapped. Pages of a MSG_ZEROCOPY sender never are.
 */
#include <linux/mm.h>
#include <linux/virtio_vsock.h>
#include <net/af_vsock.h>
#include <net/sock.h>

/* As virtio_vsock_alloc_skb(): header uninitialised, skb->len still 0. */
static struct sk_buff *virtio_rx_pages_alloc(size_t payload_len)
{
	struct sk_buff *skb;
	size_t size;
	int i;

	if (payload_len > MAX_SKB_FRAGS * PAGE_SIZE)
		return NULL;

	skb = alloc_skb(VIRTIO_VSOCK_SKB_HEADROOM, GFP_KERNEL);
	if (!skb)
		return NULL;

	skb_reserve(skb, VIRTIO_VSOCK_SKB_HEADROOM);
	VIRTIO_VSOCK_SKB_CB(skb)->in_pages = true;

	for (i = 0; payload_len; i++, payload_len -= size) {
		struct page *page = alloc_page(GFP_KERNEL);

		if (!page) {
			kfree_skb(skb);
			return NULL;
		}

		size = min_t(size_t, payload_len, PAGE_SIZE);
		memset(page_address(page) + size, 0, PAGE_SIZE - size);
		skb_fill_page_desc(skb, i, page, 0, size);
		skb->data_len += size;
		skb->truesize += PAGE_SIZE;
	}

	return skb;
}

/**
 * virtio_rx_pages_alloc_tx - allocate a packet that the receiver can map
 * @info: what is sent
 * @payload_len: bytes of payload
 * @zcopy: the payload stays in the sender's pages
 * @src_cid: as in the packet's header, like the next three
 * @src_port: port
 * @dst_cid: CID
 * @dst_port: port
 *
 * Return: NULL where the receiver is not on this machine or does not map, or
 * where there is no memory: the packet can be allocated as any other then.
 */
struct sk_buff *virtio_rx_pages_alloc_tx(struct virtio_vsock_pkt_info *info,
				       size_t payload_len, bool zcopy,
				       u32 src_cid, u32 src_port,
				       u32 dst_cid, u32 dst_port)
{
	struct vsock_sock *vsk = info->vsk;

	if (zcopy || !vsk || !info->msg || payload_len <= VIRTIO_RX_MAP_SMALL ||
	    vsk->transport->get_local_cid() != VMADDR_CID_LOCAL ||
	    !vsock_rx_map_wanted(src_cid, src_port, dst_cid, dst_port))
		return NULL;

	return virtio_rx_pages_alloc(payload_len);
}

/**
 * virtio_rx_pages_swap - exchange an empty skb for one in pages
 * @skb: its header filled in, its payload not yet
 * @payload_len: bytes of payload to come
 *
 * Return: @skb itself where the receiver does not map or memory is short.
 */
struct sk_buff *virtio_rx_pages_swap(struct sk_buff *skb, size_t payload_len)
{
	struct virtio_vsock_hdr *hdr = virtio_vsock_hdr(skb);
	struct sk_buff *paged;

	if (payload_len <= VIRTIO_RX_MAP_SMALL ||
	    !vsock_rx_map_wanted(le64_to_cpu(hdr->src_cid),
				 le32_to_cpu(hdr->src_port),
				 le64_to_cpu(hdr->dst_cid),
				 le32_to_cpu(hdr->dst_port)))
		return skb;

	paged = virtio_rx_pages_alloc(payload_len);
	if (!paged)
		return skb;

	*virtio_vsock_hdr(paged) = *hdr;
	consume_skb(skb);
	return paged;
}
EXPORT_SYMBOL_GPL(virtio_rx_pages_swap);

/**
 * virtio_rx_pages_copy - copy a packet into pages of its own
 * @skb: any packet with unread bytes, still the caller's
 *
 * Return: a packet of the unread bytes, or NULL where memory is short.
 */
struct sk_buff *virtio_rx_pages_copy(struct sk_buff *skb)
{
	u32 offset = VIRTIO_VSOCK_SKB_CB(skb)->offset;
	u32 rest = skb->len - offset;
	struct sk_buff *paged;
	int i;

	paged = virtio_rx_pages_alloc(rest);
	if (!paged)
		return NULL;

	virtio_vsock_skb_put(paged, rest);
	for (i = 0; i < skb_shinfo(paged)->nr_frags; i++) {
		skb_frag_t *frag = &skb_shinfo(paged)->frags[i];

		if (skb_copy_bits(skb, offset + i * PAGE_SIZE,
				  skb_frag_address(frag), skb_frag_size(frag))) {
			kfree_skb(paged);
			return NULL;
		}
	}

	*virtio_vsock_hdr(paged) = *virtio_vsock_hdr(skb);
	virtio_vsock_hdr(paged)->len = cpu_to_le32(rest);
	/* A MSG_ZEROCOPY sender is told that it was a copy after all. */
	skb_zcopy_clear(skb, false);

	return paged;
}
