/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold: as many connections as it gets, which stay open (those of UDP by a word from time to
 * time). Told what to do by lines on stdin: "more N MS" tries N more at once, and gives up those
 * that have no answer after so long; "drop N" ends the first N. After each it prints "held K";
 * whoever asks has the whole line. A connection that was answered counts as held until dropped.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_HELD 1024
#define AGAIN_MS 500  /* a datagram that was not answered is sent again */
#define WORD_MS	 5000 /* an entry of conntrack for UDP lives for 30 s */

struct hold {
	struct sockaddr_storage to;
	socklen_t len;
	bool udp;
	int fds[MAX_HELD];
	size_t n;
};

static void end(int fd)
{
	const struct linger at_once = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static int begin(const struct hold *h)
{
	int fd = socket(h->to.ss_family,
			(h->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    (connect(fd, (const struct sockaddr *)&h->to, h->len) && errno != EINPROGRESS))
		fail("connect: %m");
	return fd;
}

static void say(const struct hold *h, const int *fds, size_t n)
{
	for (size_t i = 0; h->udp && i < n; i++)
		if (fds[i] >= 0)
			send(fds[i], "x", 1, MSG_DONTWAIT);
}

/* Who was answered is held, and its place is -1. */
static size_t take(struct hold *h, struct pollfd *tried, int *fds, size_t n)
{
	char data[PROBE_TEXT];
	size_t taken = 0;

	poll(tried, (nfds_t)n, 50);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < 0 || !(tried[i].revents & POLLIN) ||
		    recv(fds[i], data, sizeof(data), MSG_DONTWAIT) <= 0)
			continue;
		h->fds[h->n++] = fds[i];
		fds[i] = tried[i].fd = -1;
		taken++;
	}
	return taken;
}

static void more(struct hold *h, size_t n, uint64_t ms)
{
	uint64_t now = now_ns(), until = now + ms * 1000000, again = now;
	struct pollfd tried[MAX_HELD];
	int fds[MAX_HELD];
	size_t left = n;

	if (h->n + n > MAX_HELD)
		fail("hold: too many");
	for (size_t i = 0; i < n; i++)
		tried[i] = (struct pollfd){.fd = fds[i] = begin(h), .events = POLLIN};
	for (; left && now < until; now = now_ns()) {
		if (now >= again) {
			say(h, fds, n);
			again = now + AGAIN_MS * 1000000ull;
		}
		left -= take(h, tried, fds, n);
	}
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			end(fds[i]);
}

static void drop(struct hold *h, size_t n)
{
	n = n < h->n ? n : h->n;
	for (size_t i = 0; i < n; i++)
		end(h->fds[i]);
	h->n -= n;
	memmove(h->fds, h->fds + n, h->n * sizeof(*h->fds));
}

int hold_main(int argc, char **argv)
{
	static struct hold h;
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	char line[64];

	if (argc != 3)
		fail("hold udp|tcp ADDR PORT");
	h.udp = strcmp(argv[0], "udp") == 0;
	h.len = sockaddr_of(argv[1], (uint16_t)number_of(argv[2]), &h.to);
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("open");
	for (;;) {
		unsigned long n, ms;

		if (poll(&in, 1, WORD_MS) == 0) {
			say(&h, h.fds, h.n);
			continue;
		}
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		if (sscanf(line, "more %lu %lu", &n, &ms) == 2)
			more(&h, n, ms);
		else if (sscanf(line, "drop %lu", &n) == 1)
			drop(&h, n);
		printf("held %zu\n", h.n);
	}
}
