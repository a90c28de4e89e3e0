/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask: one question to the server, never repeated; prints the address the server
 * saw, or how it failed ("timeout", "refused", "unreachable", "prohibited",
 * "toobig", "reset"), exit 1. A TCP SYN that had to be sent twice is "retried":
 * with it a lost first packet would stay hidden.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct question {
	int type;
	struct sockaddr_storage to, from;
	socklen_t to_len, from_len;
	int timeout_ms;
	size_t size;
	const char *device; /* of the socket: a VRF's, say */
	bool wait, port;    /* wait for the end of stdin; print the port too */
};

static const struct {
	int error;
	const char *word;
} words[] = {
	{EAGAIN, "timeout"},	       {ETIMEDOUT, "timeout"},	     {ECONNREFUSED, "refused"},
	{EHOSTUNREACH, "unreachable"}, {ENETUNREACH, "unreachable"}, {EACCES, "prohibited"},
	{EPERM, "prohibited"},	       {EMSGSIZE, "toobig"},	     {ECONNRESET, "reset"},
};

static int answer_error(int error)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].error == error) {
			puts(words[i].word);
			return 1;
		}
	printf("error %s\n", strerror(error));
	return 1;
}

static int ready(int fd, short events, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left = ((int64_t)(deadline - now_ns())) / 1000000;
	int n = poll(&p, 1, left > 0 ? (int)left : 0);

	if (n == 0)
		errno = ETIMEDOUT;
	return n == 1 ? 0 : -1;
}

static void answer_print(char *text, bool port)
{
	char *end = strchr(text, ' ');

	if (end && port)
		end = strpbrk(end + 1, " \n");
	if (end)
		*end = '\0';
	puts(text);
}

static int udp_ask(int fd, const struct question *q, uint64_t deadline)
{
	static char data[66000];
	ssize_t n;

	memset(data, 'q', q->size);
	if (connect(fd, (const struct sockaddr *)&q->to, q->to_len) ||
	    send(fd, data, q->size, 0) < 0 || ready(fd, POLLIN, deadline))
		return answer_error(errno);
	n = recv(fd, data, sizeof(data) - 1, 0);
	if (n < 0)
		return answer_error(errno);
	data[n] = '\0';
	if ((size_t)n < q->size)
		fail("the answer is short: %zd bytes", n);
	answer_print(data, q->port);
	return 0;
}

/*
 * Both sides have said that they are through, and know it of each other: or the server's
 * last packets might come when the pod is gone, and somebody would answer for it.
 */
static void tcp_end(int fd, uint64_t deadline)
{
	char data[256];

	shutdown(fd, SHUT_WR);
	while (!ready(fd, POLLIN, deadline) && read(fd, data, sizeof(data)) > 0)
		;
}

static int tcp_ask(int fd, const struct question *q, uint64_t deadline)
{
	char data[PROBE_TEXT + 1] = "";
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int error = 0;
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, (const struct sockaddr *)&q->to, q->to_len) && errno != EINPROGRESS)
		return answer_error(errno);
	if (ready(fd, POLLOUT, deadline))
		return answer_error(errno);
	len = sizeof(error);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		return answer_error(error);
	len = sizeof(info);
	memset(&info, 0, sizeof(info));
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	if (info.tcpi_total_retrans) {
		puts("retried");
		return 1;
	}
	if (ready(fd, POLLIN, deadline))
		return answer_error(errno);
	n = read(fd, data, sizeof(data) - 1);
	if (n <= 0)
		return answer_error(n ? errno : ECONNRESET);
	answer_print(data, q->port);
	fflush(stdout);
	tcp_end(fd, deadline);
	return 0;
}

static void question_option(struct question *q, const char *option)
{
	const char *value = strchr(option, '=');

	value = value ? value + 1 : "";
	if (!strcmp(option, "wait"))
		q->wait = true;
	else if (!strcmp(option, "port"))
		q->port = true;
	else if (!strncmp(option, "timeout=", 8))
		q->timeout_ms = (int)number_of(value);
	else if (!strncmp(option, "size=", 5))
		q->size = (size_t)number_of(value);
	else if (!strncmp(option, "dev=", 4))
		q->device = value;
	else if (!strncmp(option, "from=", 5))
		q->from_len = sockaddr_of(value, 0, &q->from);
	else if (!strncmp(option, "sport=", 6))
		((struct sockaddr_in *)&q->from)->sin_port = htons((uint16_t)number_of(value));
	else
		fail("ask: unknown option '%s'", option);
}

static int question_socket(struct question *q)
{
	int on = 1, fd = socket(q->to.ss_family, q->type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket: %m");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (q->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, q->device,
				    (socklen_t)strlen(q->device) + 1))
		fail("device %s: %m", q->device);
	/* the port is at the same place in both families */
	if (((struct sockaddr_in *)&q->from)->sin_port && !q->from_len) {
		q->from.ss_family = q->to.ss_family;
		q->from_len = q->to_len;
	}
	if (q->from_len && bind(fd, (struct sockaddr *)&q->from, q->from_len))
		fail("bind: %m");
	return fd;
}

int ask_main(int argc, char **argv)
{
	struct question q = {.timeout_ms = 15000, .size = 8};
	char byte;
	int fd;

	if (argc < 3)
		fail("ask udp|tcp ADDR PORT [option…]");
	q.type = !strcmp(argv[0], "tcp") ? SOCK_STREAM : SOCK_DGRAM;
	q.to_len = sockaddr_of(argv[1], (uint16_t)number_of(argv[2]), &q.to);
	for (int i = 3; i < argc; i++)
		question_option(&q, argv[i]);
	if (q.size > 65000)
		fail("ask: at most 65000 bytes");
	fd = question_socket(&q);
	while (q.wait && read(0, &byte, 1) > 0)
		;
	return (q.type == SOCK_STREAM ? tcp_ask : udp_ask)(
		fd, &q, now_ns() + (uint64_t)q.timeout_ms * 1000000u);
}

static unsigned long long bulk_up(int fd, unsigned long long bytes)
{
	static char data[1 << 18];
	char line[64] = "";
	ssize_t n;

	dprintf(fd, "sink\n");
	while (bytes > 0) {
		n = write(fd, data, bytes < sizeof(data) ? bytes : sizeof(data));
		if (n <= 0)
			fail("write: %m");
		bytes -= (unsigned long long)n;
	}
	shutdown(fd, SHUT_WR);
	n = read(fd, line, sizeof(line) - 1);
	return n > 0 ? strtoull(line, NULL, 10) : 0;
}

static unsigned long long bulk_down(int fd, unsigned long long bytes)
{
	static char data[1 << 18];
	unsigned long long total = 0;
	ssize_t n;

	dprintf(fd, "source %llu\n", bytes);
	while ((n = read(fd, data, sizeof(data))) > 0)
		total += (unsigned long long)n;
	return total;
}

/* Prints "ADDR BYTES SECONDS"; 30 s without progress is the end. */
int bulk_main(int argc, char **argv)
{
	struct sockaddr_storage to;
	struct timeval patience = {.tv_sec = 30};
	char peer[PROBE_TEXT] = "", *end;
	unsigned long long bytes, total;
	socklen_t len;
	uint64_t start;
	int fd;

	if (argc < 4)
		fail("bulk up|down ADDR PORT BYTES");
	bytes = strtoull(argv[3], NULL, 10);
	len = sockaddr_of(argv[1], (uint16_t)number_of(argv[2]), &to);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&to, len))
		return answer_error(errno);
	for (size_t i = 0; i < sizeof(peer) - 1 && read(fd, peer + i, 1) == 1 && peer[i] != '\n';
	     i++)
		;
	end = strchr(peer, ' ');
	if (end)
		*end = '\0';
	start = now_ns();
	total = !strcmp(argv[0], "up") ? bulk_up(fd, bytes) : bulk_down(fd, bytes);
	printf("%s %llu %.1f\n", peer, total, (double)(now_ns() - start) / 1e9);
	return total == bytes ? 0 : 1;
}
