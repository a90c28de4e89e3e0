/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: asks a resolver and connects at once to each address of the answer, as an
 * application does whose first packet must pass. A connection that is not there within
 * PATIENCE (less than TCP waits before it sends a lost SYN again) counts as failed.
 * "%" in NAME is replaced by 0, 1, … below count. Prints "N connected, N failed, N nothing".
 */
#include "probe.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 900
#define ANSWER_MAX  65535
#define NOTHING_MAX 5 /* then nobody is there */

static struct {
	struct sockaddr_storage server;
	socklen_t server_len;
	uint16_t port;
	ns_type type;
	bool tcp;
	long count;
	unsigned int connected, failed, nothing;
} job = {.type = ns_t_a, .count = 1};

static void patience_set(int fd)
{
	struct timeval t = {.tv_sec = 2};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static int server_open(int type)
{
	int fd = socket(job.server.ss_family, type | SOCK_CLOEXEC, 0);

	patience_set(fd);
	if (connect(fd, (const struct sockaddr *)&job.server, job.server_len)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool bytes_read(int fd, uint8_t *b, size_t n)
{
	for (ssize_t got; n; b += got, n -= (size_t)got) {
		got = read(fd, b, n);
		if (got <= 0)
			return false;
	}
	return true;
}

/* The answer's length, 0 when there is none. */
static size_t ask_tcp(const uint8_t *query, size_t n, uint8_t *answer)
{
	uint8_t framed[2 + 512] = {(uint8_t)(n >> 8), (uint8_t)n}, head[2];
	int fd = server_open(SOCK_STREAM);
	size_t len = 0;

	memcpy(framed + 2, query, n);
	if (fd < 0)
		return 0;
	if (write(fd, framed, n + 2) == (ssize_t)(n + 2) && bytes_read(fd, head, 2)) {
		len = (size_t)(head[0] << 8 | head[1]);
		len = bytes_read(fd, answer, len) ? len : 0;
	}
	close(fd);
	return len;
}

/* A datagram or its answer may be lost: asked three times. */
static size_t ask_udp(const uint8_t *query, size_t n, uint8_t *answer)
{
	int fd = server_open(SOCK_DGRAM);
	ssize_t len = -1;

	for (int i = 0; fd >= 0 && i < 3 && len < 0; i++)
		if (write(fd, query, n) == (ssize_t)n)
			len = read(fd, answer, ANSWER_MAX);
	if (fd >= 0)
		close(fd);
	return len > 0 ? (size_t)len : 0;
}

static bool connects(const struct sockaddr_storage *to, socklen_t len)
{
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(error);
	bool ok = false;

	if (!connect(fd, (const struct sockaddr *)to, len))
		ok = true;
	else if (errno == EINPROGRESS && poll(&p, 1, PATIENCE_MS) == 1)
		ok = !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) && !error;
	close(fd);
	return ok;
}

static void connect_to(const char *name, int family, const uint8_t *data)
{
	struct sockaddr_storage to;
	char text[INET6_ADDRSTRLEN];
	socklen_t len;

	inet_ntop(family, data, text, sizeof(text));
	len = sockaddr_of(text, job.port, &to);
	if (connects(&to, len)) {
		job.connected++;
		return;
	}
	job.failed++;
	fprintf(stderr, "%s: no connection to %s\n", name, text);
}

static void look_up(const char *name)
{
	static uint8_t answer[ANSWER_MAX];
	uint8_t query[512];
	unsigned int before = job.connected + job.failed;
	ns_msg msg;
	size_t len;
	int n = res_mkquery(ns_o_query, name, ns_c_in, job.type, NULL, 0, NULL, query,
			    sizeof(query));

	if (n < 0)
		fail("'%s' is no name", name);
	len = job.tcp ? 0 : ask_udp(query, (size_t)n, answer);
	if (job.tcp || (len > 2 && answer[2] & 2)) /* truncated */
		len = ask_tcp(query, (size_t)n, answer);
	if (!len || ns_initparse(answer, (int)len, &msg)) {
		fprintf(stderr, "%s: no answer\n", name);
		job.nothing++;
		return;
	}
	for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
		ns_rr rr;

		if (ns_parserr(&msg, ns_s_an, i, &rr) || ns_rr_type(rr) != job.type)
			continue;
		connect_to(name, job.type == ns_t_a ? AF_INET : AF_INET6, ns_rr_rdata(rr));
	}
	job.nothing += job.connected + job.failed == before;
}

int names_main(int argc, char **argv)
{
	char name[512];

	if (argc < 3)
		fail("names SERVER PORT NAME [aaaa] [tcp] [count=N]");
	job.server_len = sockaddr_of(argv[0], 53, &job.server);
	job.port = (uint16_t)number_of(argv[1]);
	for (int i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "aaaa"))
			job.type = ns_t_aaaa;
		else if (!strcmp(argv[i], "tcp"))
			job.tcp = true;
		else if (!strncmp(argv[i], "count=", 6))
			job.count = number_of(argv[i] + 6);
		else
			fail("'%s'?", argv[i]);
	}
	for (long i = 0; i < job.count && job.nothing < NOTHING_MAX; i++) {
		const char *mark = strchr(argv[2], '%');

		if (mark)
			snprintf(name, sizeof(name), "%.*s%ld%s", (int)(mark - argv[2]), argv[2], i,
				 mark + 1);
		else
			snprintf(name, sizeof(name), "%s", argv[2]);
		look_up(name);
	}
	printf("%u connected, %u failed, %u nothing\n", job.connected, job.failed, job.nothing);
	return 0;
}
