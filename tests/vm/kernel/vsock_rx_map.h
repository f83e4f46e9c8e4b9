/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Zero-copy receive for AF_VSOCK: queued packets are mapped into the receiver's
 * address space instead of being copied there.
 */
#ifndef _NET_VSOCK_RX_MAP_H
#define _NET_VSOCK_RX_MAP_H

#include <linux/mm_types.h>
#include <linux/sockptr.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct file;
struct sk_buff;
struct socket;
struct virtio_vsock_pkt_info;
struct virtio_vsock_sock;
struct vsock_sock;

/**** What user space sees. All integers are in native byte order. ****/

/* Options at level AF_VSOCK. The first is for getsockopt(2) only, and takes the
 * address of the mapping; the second is a u64, 0 or 1.
 */
#define SO_VM_SOCKETS_MAP_RX	9
#define SO_VM_SOCKETS_ZEROCOPY	10

/* Page 0 of a mapping starts with this, the headers follow. */
struct virtio_vsock_usr_hdr_pref {
	__u32 poll_value;	/* VSOCK_RX_POLL_* */
	__u32 hdr_num;		/* data pages mapped by the last call */
};

struct virtio_vsock_usr_hdr {
	__u32 length;		/* bytes; 0 ends the array */
	__u32 flags;		/* VIRTIO_VSOCK_SEQ_* */
};

#define VSOCK_RX_POLL_EMPTY	0U
#define VSOCK_RX_POLL_DATA	1U
#define VSOCK_RX_POLL_CLOSED	(~0U)

#define VSOCK_RX_HDR_MAX					\
	((PAGE_SIZE - sizeof(struct virtio_vsock_usr_hdr_pref)) /	\
	 sizeof(struct virtio_vsock_usr_hdr))

/**** State of one socket: vsk->rx_map ****/

struct vsock_rx_map {
	/* mmap(2) holds mmap_lock and must not take the socket lock, under which
	 * recv(2) takes mmap_lock. So it takes this one, under which nothing else
	 * is taken, and finds here what it would have to ask the transport for.
	 */
	spinlock_t lock;
	struct page *page;	/* page 0, from the first mmap(2) to the end */
	u32 poll_value;		/* what it says, or would say */
	bool able;		/* the transport can map */

	/* Protected by lock_sock(sk), read without it as a hint. */
	bool zerocopy;		/* SO_VM_SOCKETS_ZEROCOPY */
};

/**** vsock_rx_map.c, in vsock.ko ****/

/* One getsockopt(SO_VM_SOCKETS_MAP_RX) on its way. */
struct vsock_rx_batch {
	struct vm_area_struct *vma;
	struct virtio_vsock_usr_hdr_pref *pref;
	unsigned long room;	/* data pages in the mapping */
	unsigned long inserted;	/* data pages filled */
	unsigned int headers;	/* headers written */
	unsigned int gathered;	/* pages waiting to be inserted together */
	struct page *pages[32];
};

int vsock_rx_batch_add(struct vsock_rx_batch *batch, struct page *page);
int vsock_rx_batch_flush(struct vsock_rx_batch *batch);
void vsock_rx_batch_header(struct vsock_rx_batch *batch, u32 length, u32 flags);

void vsock_rx_map_init(struct vsock_sock *vsk, struct vsock_sock *parent);
void vsock_rx_map_assigned(struct vsock_sock *vsk);
void vsock_rx_map_destruct(struct vsock_sock *vsk);
void vsock_rx_map_settle(struct vsock_sock *vsk);
void vsock_rx_map_close(struct vsock_sock *vsk);
bool vsock_rx_map_wanted(u32 src_cid, u32 src_port, u32 dst_cid, u32 dst_port);

int vsock_rx_map_mmap(struct file *file, struct socket *sock,
		      struct vm_area_struct *vma);
int vsock_rx_map_enable(struct socket *sock, sockptr_t optval,
			unsigned int optlen);
int vsock_rx_map_dequeue(struct socket *sock, char __user *optval, int optlen);
int vsock_rx_map_sock_setsockopt(struct socket *sock, int level, int optname,
				 sockptr_t optval, unsigned int optlen);

/**** virtio_rx_pages.c, in vmw_vsock_virtio_transport_common.ko ****/

/* A packet of at most this many bytes may be appended to the one before it. */
#define VIRTIO_RX_MAP_SMALL	128

struct sk_buff *virtio_rx_pages_alloc_tx(struct virtio_vsock_pkt_info *info,
					 size_t payload_len, bool zcopy,
					 u32 src_cid, u32 src_port,
					 u32 dst_cid, u32 dst_port);
struct sk_buff *virtio_rx_pages_swap(struct sk_buff *skb, size_t payload_len);
struct sk_buff *virtio_rx_pages_copy(struct sk_buff *skb);

/**** virtio_rx_map.c, in the same ****/

struct sk_buff *virtio_rx_map_own(struct vsock_sock *vsk, struct sk_buff *skb);
bool virtio_rx_map_merge(struct virtio_vsock_sock *vvs, struct sk_buff *skb);
int virtio_transport_rx_map(struct vsock_sock *vsk,
			    struct vsock_rx_batch *batch);

/* Of virtio_transport_common.c */
int virtio_transport_send_credit_update(struct vsock_sock *vsk);

#endif /* _NET_VSOCK_RX_MAP_H */
