// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zero-copy receive for AF_VSOCK: the queue. All of it runs under the socket lock,
 * so that nothing else changes the queue.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/virtio_vsock.h>
#include <net/af_vsock.h>
#include <net/sock.h>

static bool virtio_rx_map_in_pages(struct sk_buff *skb)
{
	return VIRTIO_VSOCK_SKB_CB(skb)->in_pages;
}

static u32 virtio_rx_map_flags(struct sk_buff *skb)
{
	return le32_to_cpu(virtio_vsock_hdr(skb)->flags) &
	       (VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR);
}

/**** Into the queue ****/

/* Whether @skb can be appended to the last packet queued. */
static bool virtio_rx_map_fits(struct virtio_vsock_sock *vvs, struct sk_buff *skb)
{
	struct sk_buff *last = skb_peek_tail(&vvs->rx_queue);
	struct skb_shared_info *si;

	if (!last || !virtio_rx_map_in_pages(last) ||
	    virtio_rx_map_flags(last) & VIRTIO_VSOCK_SEQ_EOM ||
	    skb->len > VIRTIO_RX_MAP_SMALL)
		return false;

	si = skb_shinfo(last);
	return skb->len <= PAGE_SIZE - skb_frag_size(&si->frags[si->nr_frags - 1]);
}

/**
 * virtio_rx_map_own - bring a packet that has arrived into pages
 * @vsk: receiver
 * @skb: the packet, about to be queued
 *
 * Return: what to queue in its stead. @skb itself where the receiver does not
 * map, where it will be appended to the last packet, or where memory is short: it
 * is copied when it gets mapped then.
 */
struct sk_buff *virtio_rx_map_own(struct vsock_sock *vsk, struct sk_buff *skb)
{
	struct sk_buff *paged;

	if (!vsk->rx_map.zerocopy || virtio_rx_map_in_pages(skb) || !skb->len ||
	    virtio_rx_map_fits(vsk->trans, skb))
		return skb;

	paged = virtio_rx_pages_copy(skb);
	if (!paged)
		return skb;

	consume_skb(skb);
	return paged;
}

/**
 * virtio_rx_map_merge - append a small packet to the last one queued
 * @vvs: receiver, its rx_lock held
 * @skb: the packet, still the caller's
 *
 * The last page of a queued packet is never mapped before it leaves the queue, so
 * nobody sees it change.
 *
 * Return: whether it was appended.
 */
bool virtio_rx_map_merge(struct virtio_vsock_sock *vvs, struct sk_buff *skb)
{
	struct sk_buff *last;
	skb_frag_t *frag;

	if (!virtio_rx_map_fits(vvs, skb))
		return false;

	last = skb_peek_tail(&vvs->rx_queue);
	frag = &skb_shinfo(last)->frags[skb_shinfo(last)->nr_frags - 1];
	if (skb_copy_bits(skb, 0, skb_frag_address(frag) + skb_frag_size(frag),
			  skb->len))
		return false;

	skb_frag_size_add(frag, skb->len);
	last->len += skb->len;
	last->data_len += skb->len;
	le32_add_cpu(&virtio_vsock_hdr(last)->len, skb->len);
	virtio_vsock_hdr(last)->flags |= virtio_vsock_hdr(skb)->flags;
	return true;
}

/**** Out of it ****/

/* Takes the first @pages pages out of a packet, which becomes a shorter one. */
static void virtio_rx_map_drop(struct sk_buff *skb, unsigned int pages)
{
	struct skb_shared_info *si = skb_shinfo(skb);
	unsigned int i;

	for (i = 0; i < pages; i++)
		put_page(skb_frag_page(&si->frags[i]));

	si->nr_frags -= pages;
	memmove(si->frags, si->frags + pages, si->nr_frags * sizeof(*si->frags));
	skb->len -= pages * PAGE_SIZE;
	skb->data_len -= pages * PAGE_SIZE;
	skb->truesize -= pages * PAGE_SIZE;
	le32_add_cpu(&virtio_vsock_hdr(skb)->len, -(u32)(pages * PAGE_SIZE));
}

/* As virtio_transport_dec_rx_pkt(). */
static void virtio_rx_map_account(struct virtio_vsock_sock *vvs, u32 read,
				  u32 dequeued)
{
	vvs->rx_bytes -= read;
	vvs->buf_used -= dequeued;
	vvs->fwd_cnt += dequeued;
}

/* Makes a queued packet one in pages that starts with its first unread byte: the
 * sender gets the credit for what was read.
 */
static struct sk_buff *virtio_rx_map_align(struct virtio_vsock_sock *vvs,
					   struct sk_buff *skb)
{
	u32 offset = VIRTIO_VSOCK_SKB_CB(skb)->offset;
	struct sk_buff *paged = NULL;

	if (virtio_rx_map_in_pages(skb) && !offset)
		return skb;

	if (!virtio_rx_map_in_pages(skb) || offset % PAGE_SIZE) {
		paged = virtio_rx_pages_copy(skb);
		if (!paged)
			return NULL;
	}

	spin_lock_bh(&vvs->rx_lock);
	if (paged) {
		__skb_queue_after(&vvs->rx_queue, skb, paged);
		__skb_unlink(skb, &vvs->rx_queue);
	} else {
		virtio_rx_map_drop(skb, offset / PAGE_SIZE);
		VIRTIO_VSOCK_SKB_CB(skb)->offset = 0;
	}
	virtio_rx_map_account(vvs, 0, offset);
	spin_unlock_bh(&vvs->rx_lock);

	if (!paged)
		return skb;

	consume_skb(skb);
	return paged;
}

/* Fills the mapping; the packets stay queued. A packet without bytes, which no
 * Linux sends, takes neither page nor header.
 */
static int virtio_rx_map_insert(struct virtio_vsock_sock *vvs,
				struct vsock_rx_batch *batch)
{
	unsigned long room = batch->room;
	struct sk_buff *skb, *next;
	unsigned int packets = 0;
	int err;

	skb_queue_walk_safe(&vvs->rx_queue, skb, next) {
		unsigned long i, pages;

		if (!room || packets == VSOCK_RX_HDR_MAX)
			break;
		if (!skb->len)
			continue;

		skb = virtio_rx_map_align(vvs, skb);
		if (!skb) {
			/* What comes before it is a batch too. */
			if (packets)
				break;
			return -ENOMEM;
		}

		pages = min_t(unsigned long, room, skb_shinfo(skb)->nr_frags);
		for (i = 0; i < pages; i++) {
			err = vsock_rx_batch_add(batch, skb_frag_page(&skb_shinfo(skb)->frags[i]));
			if (err)
				return err;
		}
		room -= pages;
		packets++;
	}

	return vsock_rx_batch_flush(batch);
}

/* Takes what was mapped out of the queue and writes the headers. */
static void virtio_rx_map_commit(struct virtio_vsock_sock *vvs,
				 struct vsock_rx_batch *batch)
{
	unsigned long left = batch->inserted;
	struct sk_buff_head done;
	struct sk_buff *skb;

	__skb_queue_head_init(&done);
	spin_lock_bh(&vvs->rx_lock);

	while (left) {
		unsigned long pages;
		u32 length, flags;

		skb = skb_peek(&vvs->rx_queue);
		pages = skb_shinfo(skb)->nr_frags;
		length = skb->len;
		flags = virtio_rx_map_flags(skb);

		if (pages > left) {
			pages = left;
			length = left * PAGE_SIZE;
			flags = 0;
			virtio_rx_map_drop(skb, left);
		} else {
			__skb_unlink(skb, &vvs->rx_queue);
			__skb_queue_tail(&done, skb);
			if (flags & VIRTIO_VSOCK_SEQ_EOM)
				vvs->msg_count--;
		}

		if (length)
			vsock_rx_batch_header(batch, length, flags);
		virtio_rx_map_account(vvs, length, length);
		left -= pages;
	}

	spin_unlock_bh(&vvs->rx_lock);

	while ((skb = __skb_dequeue(&done)))
		consume_skb(skb);
}

/* By the same rule as after a read of a stream. */
static void virtio_rx_map_tell_credit(struct vsock_sock *vsk)
{
	struct virtio_vsock_sock *vvs = vsk->trans;
	struct sock *sk = sk_vsock(vsk);
	u32 fwd_cnt_delta;
	bool tell;

	if (sk->sk_state != TCP_ESTABLISHED || sock_flag(sk, SOCK_DONE))
		return;

	spin_lock_bh(&vvs->rx_lock);
	fwd_cnt_delta = vvs->fwd_cnt - vvs->last_fwd_cnt;
	tell = fwd_cnt_delta &&
	       (vvs->buf_alloc - fwd_cnt_delta < VIRTIO_VSOCK_MAX_PKT_BUF_SIZE ||
		vvs->rx_bytes < sock_rcvlowat(sk, 0, INT_MAX));
	spin_unlock_bh(&vvs->rx_lock);

	if (tell)
		virtio_transport_send_credit_update(vsk);
}

/**
 * virtio_transport_rx_map - move packets from the queue into a mapping
 * @vsk: receiver, its lock held
 * @batch: where to, the lock of its address space held for reading
 *
 * Return: 0; or an error with nothing mapped and nothing taken out, -EBUSY where
 * a slot that is needed is in use.
 */
int virtio_transport_rx_map(struct vsock_sock *vsk,
			    struct vsock_rx_batch *batch)
{
	int err = virtio_rx_map_insert(vsk->trans, batch);

	if (err)
		return err;

	virtio_rx_map_commit(vsk->trans, batch);
	virtio_rx_map_tell_credit(vsk);

	return 0;
}
EXPORT_SYMBOL_GPL(virtio_transport_rx_map);
