// SPDX-License-Identifier: GPL-2.0-only
/* What is refused, and whose memory is never shown. */
#define _GNU_SOURCE
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <linux/errqueue.h>
#include "selftest.h"

void refusals(void)
{
	struct ends e = mapped(SOCK_STREAM, 4), off;
	uint64_t value = 1, address = (uintptr_t)e.page0;
	socklen_t len = sizeof(value);
	int fresh = socket(AF_VSOCK, SOCK_STREAM, 0);

	REFUSED(setsockopt(e.rx, AF_VSOCK, ZEROCOPY, &value, 4), EOPNOTSUPP);
	REFUSED(setsockopt(fresh, AF_VSOCK, ZEROCOPY, &value, 4), EINVAL);
	REFUSED(setsockopt(fresh, AF_VSOCK, ZEROCOPY, NULL, 8), EFAULT);
	REFUSED(setsockopt(e.rx, AF_VSOCK, MAP_RX, &address, 8), ENOPROTOOPT);
	CHECK(!getsockopt(e.rx, AF_VSOCK, ZEROCOPY, &value, &len) && value == 1 && len == 8);
	len = 7;
	REFUSED(getsockopt(fresh, AF_VSOCK, MAP_RX, &address, &len), EINVAL);
	REFUSED(getsockopt(fresh, AF_VSOCK, ZEROCOPY, &address, &len), EINVAL);
	len = 8;
	REFUSED(getsockopt(e.rx, AF_VSOCK, MAP_RX, NULL, &len), EFAULT);
	REFUSED(map_rx_at(fresh, address), EOPNOTSUPP);
	set_u64(fresh, ZEROCOPY, 7);
	REFUSED(map_rx_at(fresh, address), ENOTCONN);
	REFUSED(map_rx_at(e.rx, address + 1), EINVAL);
	REFUSED(map_rx_at(e.rx, address + P), EINVAL);
	REFUSED(map_rx_at(e.rx, (uintptr_t)&e), EINVAL);
	REFUSED(map_rx_at(e.rx, ~0UL), EINVAL);

	CHECK(mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, fresh, 0) == MAP_FAILED && errno == EPERM);
	CHECK(mmap(NULL, P, PROT_EXEC, MAP_SHARED, e.rx, 0) == MAP_FAILED && errno == EPERM);
	CHECK(mmap(NULL, P, PROT_READ, MAP_SHARED, fresh, 0) == MAP_FAILED && errno == EOPNOTSUPP);
	CHECK(mmap(NULL, P, PROT_READ, MAP_SHARED, e.rx, 0) == MAP_FAILED && errno == EBUSY);
	REFUSED(mprotect((void *)e.page0, e.size, PROT_READ | PROT_WRITE), EACCES);
	REFUSED(mprotect((void *)e.page0, e.size, PROT_READ | PROT_EXEC), EACCES);
	CHECK(mremap((void *)e.page0, e.size, e.size + P, MREMAP_MAYMOVE) == MAP_FAILED);
	void *other = mmap(NULL, e.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(mremap((void *)e.page0, e.size, e.size, MREMAP_MAYMOVE | MREMAP_FIXED, other) == MAP_FAILED);
	CHECK(e.page0->poll_value == 0 && !map_rx(&e));

	connect_ends(&off, SOCK_STREAM, 0, 1 << 18);
	map(&off, 0);
	REFUSED(map_rx(&off), EOPNOTSUPP);
	REFUSED(map_rx_at(e.rx, (uintptr_t)off.page0), EINVAL);
	done(&off);
	connect_ends(&off, SOCK_STREAM, 1, 1 << 18);
	map(&off, 0);
	REFUSED(map_rx(&off), EFAULT);
	done(&off);
	close(fresh);
	done(&e);
}

void busy_slot(void)
{
	struct ends e = mapped(SOCK_STREAM, 64);

	send_all(e.tx, 0, 40 * P, 0);
	queued(&e, 40 * P);
	CHECK(!map_rx(&e) && verify(&e, 0) == 40 * P);
	/* All but the last slot are free: the batch gets far, and is taken back. */
	CHECK(!madvise(e.data, 39 * P, MADV_DONTNEED));
	send_all(e.tx, 40 * P, 60 * P, 0);
	queued(&e, 60 * P);
	REFUSED(map_rx(&e), EBUSY);
	CHECK(!populated(e.data) && !populated(e.data + 38 * P));
	CHECK(populated(e.data + 39 * P) && e.data[39 * P] == byte_at(39 * P));
	advise(&e);
	CHECK(!map_rx(&e) && verify(&e, 40 * P) == 60 * P);
	done(&e);
}

void zerocopy_sender(void)
{
	struct ends e = mapped(SOCK_STREAM, 16);
	unsigned char *bytes = mmap(NULL, 8 * P, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char control[128];
	struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct pollfd p = { .fd = e.tx };
	struct sock_extended_err *err;
	int one = 1;

	CHECK(!setsockopt(e.tx, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
	for (size_t i = 0; i < 8 * P; i++)
		bytes[i] = byte_at(i);
	CHECK(send(e.tx, bytes, 8 * P, MSG_ZEROCOPY) == 8 * P);
	queued(&e, 8 * P);
	memset(bytes, 0xee, 8 * P);
	CHECK(!map_rx(&e) && verify(&e, 0) == 8 * P);
	CHECK(poll(&p, 1, 20000) == 1 && recvmsg(e.tx, &msg, MSG_ERRQUEUE) == 0);
	err = (void *)CMSG_DATA(CMSG_FIRSTHDR(&msg));
	CHECK(err->ee_code == SO_EE_CODE_ZEROCOPY_COPIED);
	munmap(bytes, 8 * P);
	done(&e);
}

void forked(void)
{
	struct ends e = mapped(SOCK_STREAM, 4);
	int status;

	send_all(e.tx, 0, 5000, 0);
	queued(&e, 5000);
	CHECK(!map_rx(&e));
	pid_t child = fork();

	if (!child) {
		REFUSED(map_rx(&e), EINVAL);
		_exit(populated(e.page0) || populated(e.data));
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(verify(&e, 0) == 5000);

	/* One that was asked for has references and slots of its own. */
	CHECK(!madvise((void *)e.page0, e.size, MADV_DOFORK));
	send_all(e.tx, 5000, 100, 0);
	queued(&e, 100);
	child = fork();
	if (!child) {
		CHECK(verify(&e, 0) == 5000);
		REFUSED(map_rx(&e), EBUSY);
		advise(&e);
		CHECK(!map_rx(&e) && verify(&e, 5000) == 100);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(populated(e.data + P) && e.data[4999] == byte_at(4999));
	done(&e);
}
