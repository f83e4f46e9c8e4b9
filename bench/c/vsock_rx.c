/*
 * What a wake-up costs a receiver in C: vsock_rx copy|map SIZE BYTES prints nanoseconds in dequeue
 * calls per wake-up, as vsockit perf counts them. Both ends are in this process, over CID 1.
 */
#define _GNU_SOURCE
#include <err.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define MAP_RX 9
#define ZEROCOPY 10
#define PAGE 4096
#define CREDIT (4 << 20)
#define SEND (1 << 20)

static long bytes;

static void set(int fd, int name, uint64_t value)
{
	if (setsockopt(fd, AF_VSOCK, name, &value, sizeof(value)))
		err(1, "setsockopt %d", name);
}

static int open_socket(int zerocopy)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0)
		err(1, "socket");
	set(fd, SO_VM_SOCKETS_BUFFER_MAX_SIZE, CREDIT);
	set(fd, SO_VM_SOCKETS_BUFFER_SIZE, CREDIT);
	if (zerocopy)
		set(fd, ZEROCOPY, 1);
	return fd;
}

static void *transmit(void *listener)
{
	int fd = accept(*(int *)listener, NULL, NULL);
	char *data = malloc(SEND);

	memset(data, 7, SEND);
	for (long left = bytes; left > 0;) {
		ssize_t sent = send(fd, data, left < SEND ? left : SEND, 0);

		if (sent < 0)
			err(1, "send");
		left -= sent;
	}
	shutdown(fd, SHUT_WR);
	recv(fd, data, 1, 0);
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* One dequeue by mapping: bytes, 0 where nothing was mapped. */
static long take(int fd, volatile uint32_t *page0, unsigned long address, size_t size)
{
	socklen_t len = sizeof(address);
	long total = 0;

	if (getsockopt(fd, AF_VSOCK, MAP_RX, &address, &len))
		err(1, "MAP_RX");
	for (uint32_t i = 0, pages = 0; pages < page0[1]; i++) {
		uint32_t length = page0[2 + 2 * i];

		total += length;
		pages += (length + PAGE - 1) / PAGE;
	}
	if (madvise((char *)page0 + PAGE, size, MADV_DONTNEED))
		err(1, "madvise");
	return total;
}

int main(int argc, char **argv)
{
	struct sockaddr_vm addr = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL,
				    .svm_port = VMADDR_PORT_ANY };
	socklen_t len = sizeof(addr);
	double spent = 0;
	long got = 0, wakeups = 0;
	pthread_t sender;

	if (argc != 4)
		errx(2, "usage: vsock_rx copy|map SIZE BYTES");
	int map = !strcmp(argv[1], "map"), size = atoi(argv[2]);
	char *buffer = malloc(size);
	void *mapping = NULL;

	bytes = atol(argv[3]);
	int listener = open_socket(0), fd = open_socket(map);

	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len))
		err(1, "listen");
	pthread_create(&sender, NULL, transmit, &listener);
	if (connect(fd, (void *)&addr, sizeof(addr)))
		err(1, "connect");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &size, sizeof(size)))
		err(1, "SO_RCVLOWAT");
	if (map) {
		mapping = mmap(NULL, PAGE + size, PROT_READ, MAP_SHARED, fd, 0);
		if (mapping == MAP_FAILED)
			err(1, "mmap");
	}
	while (got < bytes) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		poll(&p, 1, -1);
		double start = now();
		long n = map ? take(fd, mapping, (unsigned long)mapping, size)
			     : recv(fd, buffer, size, 0);
		if (n <= 0)
			continue;
		spent += now() - start;
		got += n;
		wakeups++;
	}
	/* A mapping keeps the socket open behind its descriptor. */
	shutdown(fd, SHUT_RDWR);
	pthread_join(sender, NULL);
	printf("%.0f\n", spent / wakeups);
	return 0;
}
