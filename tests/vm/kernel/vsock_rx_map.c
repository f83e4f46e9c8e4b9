// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zero-copy receive for AF_VSOCK: the socket options, the mapping and page 0.
 *
 * Lock order: lock_sock(sk), then mmap_lock, then the transport's locks, then
 * vsk->rx_map.lock. mmap(2) enters with mmap_lock held and takes only the last.
 *
 * A mapping holds a reference to the socket's file, as any file mapping does:
 * while it exists the socket is not released, and it needs no other reference.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/net.h>
#include <net/af_vsock.h>
#include <net/sock.h>

/* Set for good by the first socket that wants its packets in pages: until then
 * senders need not ask.
 */
static bool vsock_rx_map_used __read_mostly;

/**** poll_value ****/

static void vsock_rx_map_set_poll_value(struct vsock_sock *vsk, u32 value)
{
	struct vsock_rx_map *map = &vsk->rx_map;
	struct virtio_vsock_usr_hdr_pref *pref;

	spin_lock_bh(&map->lock);
	if (map->poll_value != VSOCK_RX_POLL_CLOSED)
		map->poll_value = value;
	if (map->page) {
		pref = page_address(map->page);
		/* Whoever sees the value sees the headers written before. */
		smp_store_release(&pref->poll_value, map->poll_value);
	}
	spin_unlock_bh(&map->lock);
}

static u32 vsock_rx_map_poll_value(struct vsock_sock *vsk)
{
	struct sock *sk = sk_vsock(vsk);

	if (sk->sk_shutdown & RCV_SHUTDOWN ||
	    READ_ONCE(vsk->peer_shutdown) & SEND_SHUTDOWN ||
	    sock_flag(sk, SOCK_DONE))
		return VSOCK_RX_POLL_CLOSED;

	if (vsock_stream_has_data(vsk) < sock_rcvlowat(sk, 0, INT_MAX) ||
	    vsock_connectible_has_data(vsk) <= 0)
		return VSOCK_RX_POLL_EMPTY;

	return VSOCK_RX_POLL_DATA;
}

/**
 * vsock_rx_map_settle - tell page 0 whether the socket is readable
 * @vsk: socket whose queue, SO_RCVLOWAT or shutdown state has changed
 *
 * The caller holds the socket lock, and calls this before it wakes a reader.
 */
void vsock_rx_map_settle(struct vsock_sock *vsk)
{
	if (!vsk->rx_map.able)
		return;

	vsock_rx_map_set_poll_value(vsk, vsock_rx_map_poll_value(vsk));
}
EXPORT_SYMBOL_GPL(vsock_rx_map_settle);

/**
 * vsock_rx_map_close - tell page 0 that nothing more will be queued
 * @vsk: socket that its transport has reset, the socket lock held or not
 */
void vsock_rx_map_close(struct vsock_sock *vsk)
{
	vsock_rx_map_set_poll_value(vsk, VSOCK_RX_POLL_CLOSED);
}
EXPORT_SYMBOL_GPL(vsock_rx_map_close);

/**** Life of a socket ****/

void vsock_rx_map_init(struct vsock_sock *vsk, struct vsock_sock *parent)
{
	struct vsock_rx_map *map = &vsk->rx_map;

	spin_lock_init(&map->lock);
	map->page = NULL;
	map->poll_value = VSOCK_RX_POLL_EMPTY;
	map->able = false;
	map->zerocopy = parent && parent->rx_map.zerocopy;
}

/* The socket lock is held, or nobody else knows the socket yet. */
void vsock_rx_map_assigned(struct vsock_sock *vsk)
{
	struct vsock_rx_map *map = &vsk->rx_map;

	spin_lock_bh(&map->lock);
	map->able = vsk->transport->rx_map;
	map->poll_value = VSOCK_RX_POLL_EMPTY;
	spin_unlock_bh(&map->lock);

	vsock_rx_map_settle(vsk);
}

void vsock_rx_map_destruct(struct vsock_sock *vsk)
{
	if (vsk->rx_map.page)
		put_page(vsk->rx_map.page);
}

/**
 * vsock_rx_map_wanted - whether the receiver of a packet wants it in pages
 * @src_cid: sender's CID, as in the packet
 * @src_port: sender's port
 * @dst_cid: receiver's CID
 * @dst_port: receiver's port
 *
 * A hint for whoever allocates the packet: by the time it arrives, the socket
 * may be another one.
 */
bool vsock_rx_map_wanted(u32 src_cid, u32 src_port, u32 dst_cid, u32 dst_port)
{
	struct sockaddr_vm src, dst;
	struct sock *sk;
	bool wanted;

	if (!READ_ONCE(vsock_rx_map_used))
		return false;

	vsock_addr_init(&src, src_cid, src_port);
	vsock_addr_init(&dst, dst_cid, dst_port);
	sk = vsock_find_connected_socket(&src, &dst);
	if (!sk)
		return false;

	wanted = READ_ONCE(vsock_sk(sk)->rx_map.zerocopy);
	sock_put(sk);

	return wanted;
}
EXPORT_SYMBOL_GPL(vsock_rx_map_wanted);

/**** setsockopt(2) ****/

/* The socket lock is held. */
int vsock_rx_map_enable(struct socket *sock, sockptr_t optval,
			unsigned int optlen)
{
	struct vsock_sock *vsk = vsock_sk(sock->sk);
	u64 val;

	/* Packets that are queued already would not be in pages. */
	if (sock->state != SS_UNCONNECTED)
		return -EOPNOTSUPP;
	if (optlen < sizeof(val))
		return -EINVAL;
	if (copy_from_sockptr(&val, optval, sizeof(val)))
		return -EFAULT;

	WRITE_ONCE(vsk->rx_map.zerocopy, val != 0);
	if (val)
		WRITE_ONCE(vsock_rx_map_used, true);

	return 0;
}

/* SO_RCVLOWAT decides what poll_value says. */
int vsock_rx_map_sock_setsockopt(struct socket *sock, int level, int optname,
				 sockptr_t optval, unsigned int optlen)
{
	int err = sock_setsockopt(sock, level, optname, optval, optlen);

	if (!err && optname == SO_RCVLOWAT) {
		lock_sock(sock->sk);
		vsock_rx_map_settle(vsock_sk(sock->sk));
		release_sock(sock->sk);
	}

	return err;
}

/**** mmap(2) ****/

static int vsock_rx_map_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

/* No fault handler: what is not mapped by SO_VM_SOCKETS_MAP_RX is SIGBUS. */
static const struct vm_operations_struct vsock_rx_map_vm_ops = {
	.mremap = vsock_rx_map_mremap,
};

int vsock_rx_map_mmap(struct file *file, struct socket *sock,
		      struct vm_area_struct *vma)
{
	struct vsock_rx_map *map = &vsock_sk(sock->sk)->rx_map;
	struct virtio_vsock_usr_hdr_pref *pref;
	struct page *page;
	int err;

	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EPERM;
	if (!READ_ONCE(map->able))
		return -EOPNOTSUPP;
	if (READ_ONCE(map->page))
		return -EBUSY;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;

	/* A child or a moved mapping would share slots of which only one owner
	 * can know whether they are free.
	 */
	vm_flags_clear(vma, VM_MAYWRITE | VM_MAYEXEC);
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTCOPY);
	vma->vm_ops = &vsock_rx_map_vm_ops;
	/* So that what is left of a split mapping tells where it was. */
	vma->vm_pgoff = 0;

	err = vm_insert_page(vma, vma->vm_start, page);
	if (err)
		goto out;

	spin_lock_bh(&map->lock);
	if (map->page) {
		err = -EBUSY;
	} else {
		pref = page_address(page);
		WRITE_ONCE(pref->poll_value, map->poll_value);
		map->page = page;
	}
	spin_unlock_bh(&map->lock);

out:
	if (err)
		put_page(page);
	return err;
}

/**** getsockopt(SO_VM_SOCKETS_MAP_RX) ****/

/**
 * vsock_rx_batch_flush - insert the pages gathered so far
 * @batch: the batch
 *
 * A page stays the queue's too. On failure every slot is as it was before the
 * batch.
 */
int vsock_rx_batch_flush(struct vsock_rx_batch *batch)
{
	struct vm_area_struct *vma = batch->vma;
	unsigned long first = vma->vm_start + PAGE_SIZE;
	unsigned long left = batch->gathered;
	int err;

	if (!left)
		return 0;

	err = vm_insert_pages(vma, first + batch->inserted * PAGE_SIZE,
			      batch->pages, &left);
	batch->inserted += batch->gathered - left;
	batch->gathered = 0;
	if (!err)
		return 0;

	if (batch->inserted)
		zap_page_range_single(vma, first, batch->inserted * PAGE_SIZE,
				      NULL);
	batch->inserted = 0;
	return err;
}
EXPORT_SYMBOL_GPL(vsock_rx_batch_flush);

/**
 * vsock_rx_batch_add - put one more page into the mapping
 * @batch: the batch, with room for it
 * @page: a page of a packet, which must not be user space's
 *
 * Visible after vsock_rx_batch_flush(), whose errors it has.
 */
int vsock_rx_batch_add(struct vsock_rx_batch *batch, struct page *page)
{
	batch->pages[batch->gathered++] = page;
	if (batch->gathered < ARRAY_SIZE(batch->pages))
		return 0;

	return vsock_rx_batch_flush(batch);
}
EXPORT_SYMBOL_GPL(vsock_rx_batch_add);

/**
 * vsock_rx_batch_header - write the header of the next packet
 * @batch: the batch, its pages inserted
 * @length: bytes
 * @flags: VIRTIO_VSOCK_SEQ_*
 */
void vsock_rx_batch_header(struct vsock_rx_batch *batch, u32 length, u32 flags)
{
	struct virtio_vsock_usr_hdr *hdrs = (void *)(batch->pref + 1);
	struct virtio_vsock_usr_hdr *hdr = &hdrs[batch->headers++];

	WRITE_ONCE(hdr->length, length);
	WRITE_ONCE(hdr->flags, flags);
}
EXPORT_SYMBOL_GPL(vsock_rx_batch_header);

static struct vm_area_struct *vsock_rx_map_find(struct socket *sock,
						unsigned long address)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, address);

	if (!vma || vma->vm_ops != &vsock_rx_map_vm_ops ||
	    vma->vm_file != sock->file ||
	    vma->vm_start != address || vma->vm_pgoff != 0)
		return NULL;

	return vma;
}

static int vsock_rx_map_fill(struct socket *sock, unsigned long address)
{
	struct vsock_sock *vsk = vsock_sk(sock->sk);
	struct vsock_rx_batch batch;
	int err;

	batch.vma = vsock_rx_map_find(sock, address);
	if (!batch.vma)
		return -EINVAL;
	batch.room = vma_pages(batch.vma) - 1;
	if (!batch.room)
		return -EFAULT;

	batch.pref = page_address(vsk->rx_map.page);
	batch.inserted = 0;
	batch.headers = 0;
	batch.gathered = 0;

	err = vsk->transport->rx_map(vsk, &batch);
	if (err)
		return err;

	WRITE_ONCE(batch.pref->hdr_num, batch.inserted);
	if (batch.headers < VSOCK_RX_HDR_MAX)
		vsock_rx_batch_header(&batch, 0, 0);
	vsock_rx_map_settle(vsk);

	return 0;
}

int vsock_rx_map_dequeue(struct socket *sock, char __user *optval, int optlen)
{
	struct sock *sk = sock->sk;
	struct vsock_sock *vsk = vsock_sk(sk);
	unsigned long address;
	int err;

	if (optlen < (int)sizeof(address))
		return -EINVAL;
	if (copy_from_user(&address, optval, sizeof(address)))
		return -EFAULT;

	lock_sock(sk);

	if (!vsk->rx_map.zerocopy) {
		err = -EOPNOTSUPP;
	} else if (!vsk->transport) {
		err = -ENOTCONN;
	} else if (!vsk->transport->rx_map) {
		err = -EOPNOTSUPP;
	} else if (!current->mm) {
		err = -EINVAL;
	} else {
		mmap_read_lock(current->mm);
		err = vsock_rx_map_fill(sock, address);
		mmap_read_unlock(current->mm);
	}

	release_sock(sk);
	return err;
}
