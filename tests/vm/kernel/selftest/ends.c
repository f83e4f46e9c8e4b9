// SPDX-License-Identifier: GPL-2.0-only
/* Two sockets, a mapping, and how to look at it. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include "selftest.h"

void set_u64(int fd, int name, uint64_t value)
{
	CHECK(!setsockopt(fd, AF_VSOCK, name, &value, sizeof(value)));
}

void connect_ends(struct ends *e, int type, int zerocopy, uint64_t buffer)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL,
		.svm_port = VMADDR_PORT_ANY,
	};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_VSOCK, type | SOCK_CLOEXEC, 0);

	CHECK(listener >= 0);
	CHECK(!bind(listener, (void *)&addr, sizeof(addr)));
	CHECK(!getsockname(listener, (void *)&addr, &len));
	e->rx = socket(AF_VSOCK, type | SOCK_CLOEXEC, 0);
	CHECK(e->rx >= 0);
	if (zerocopy)
		set_u64(e->rx, ZEROCOPY, 1);
	for (int i = 0; i < 2; i++) {
		int fd = i ? listener : e->rx;

		set_u64(fd, SO_VM_SOCKETS_BUFFER_MAX_SIZE, buffer);
		set_u64(fd, SO_VM_SOCKETS_BUFFER_SIZE, buffer);
	}
	CHECK(!listen(listener, 1));
	CHECK(!connect(e->rx, (void *)&addr, sizeof(addr)));
	e->tx = accept(listener, NULL, NULL);
	CHECK(e->tx >= 0);
	close(listener);
}

void map(struct ends *e, int pages)
{
	e->size = (1 + pages) * P;
	e->page0 = mmap(NULL, e->size, PROT_READ, MAP_SHARED, e->rx, 0);
	CHECK(e->page0 != MAP_FAILED);
	e->data = (unsigned char *)e->page0 + P;
}

struct ends mapped(int type, int pages)
{
	struct ends e;

	connect_ends(&e, type, 1, 1 << 20);
	map(&e, pages);
	return e;
}

int map_rx_at(int fd, uint64_t address)
{
	socklen_t len = sizeof(address);

	return getsockopt(fd, AF_VSOCK, MAP_RX, &address, &len);
}

int map_rx(struct ends *e)
{
	return map_rx_at(e->rx, (uintptr_t)e->page0);
}

void advise(struct ends *e)
{
	CHECK(!madvise(e->data, e->size - P, MADV_DONTNEED));
}

void done(struct ends *e)
{
	CHECK(!munmap((void *)e->page0, e->size));
	close(e->rx);
	close(e->tx);
}

unsigned char byte_at(size_t i)
{
	return i * 7 + i / 251 + 1;
}

void send_all(int fd, size_t from, size_t length, int flags)
{
	unsigned char *bytes = malloc(length);

	for (size_t i = 0; i < length; i++)
		bytes[i] = byte_at(from + i);
	for (size_t sent = 0; sent < length;) {
		ssize_t n = send(fd, bytes + sent, length - sent, flags);

		CHECK(n > 0);
		sent += n;
	}
	free(bytes);
}

void queued(struct ends *e, int bytes)
{
	struct pollfd p = { .fd = e->rx, .events = POLLIN };
	int one = 1;

	CHECK(!setsockopt(e->rx, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)));
	CHECK(poll(&p, 1, 20000) == 1);
	CHECK(!setsockopt(e->rx, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)));
}

int populated(const volatile void *at)
{
	int p[2], n;

	CHECK(!pipe(p));
	n = write(p[1], (void *)at, 1);
	CHECK(n == 1 || errno == EFAULT);
	close(p[0]);
	close(p[1]);
	return n == 1;
}

size_t verify(struct ends *e, size_t from)
{
	const unsigned char *at = e->data;
	size_t start = from;
	uint32_t pages = 0;

	for (int i = 0; pages < e->page0->hdr_num; i++) {
		uint32_t length = e->page0->hdr[i].length;
		uint32_t whole = (length + P - 1) / P * P;

		CHECK(length > 0);
		for (uint32_t j = 0; j < length; j++)
			CHECK(at[j] == byte_at(from + j));
		for (uint32_t j = length; j < whole; j++)
			CHECK(at[j] == 0);
		from += length;
		at += whole;
		pages += whole / P;
	}
	CHECK(pages == e->page0->hdr_num);
	return from - start;
}

void headers(struct ends *e, uint32_t pages, int count, const struct hdr *expected)
{
	CHECK(e->page0->hdr_num == pages);
	for (int i = 0; i < count; i++) {
		CHECK(e->page0->hdr[i].length == expected[i].length);
		CHECK(e->page0->hdr[i].flags == expected[i].flags);
	}
	CHECK(e->page0->hdr[count].length == 0);
}
