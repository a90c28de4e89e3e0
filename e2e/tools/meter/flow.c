/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic whose cost is known.
 *
 *	serve	a UDP sink that counts and, on the same port, a TCP echo
 *	blast	datagrams as fast as they go: "SENT RECEIVED WALL-NS CPU-NS"
 *	turns	one byte there and back over TCP, again and again: "TURNS WALL-NS CPU-NS"
 *	stream	as much as goes over one TCP connection: "BYTES WALL-NS CPU-NS"
 *
 * On a path of veth pairs a packet is carried to its end by the processor that
 * sent it: in the sender's own time, or in that of ksoftirqd when there is too
 * much. Sender and its processor's ksoftirqd together are what a packet costs on
 * the whole path; for that the caller pins the sender to one processor.
 */
#include "meter.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	  32
#define SIZE_MAX_ 1472
#define ASK	  "how many?"
#define STREAM	  's'
#define TURNS	  't'
#define AWAKE_NS  2000000u
#define PATIENCE  5 /* seconds: a path that swallows everything must end the measurement */

/* ---- what the sender's processor did ---- */

static uint64_t own_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int ksoftirqd_pid(int cpu)
{
	char wanted[32], path[64], name[32];
	struct dirent *d;
	int found = 0;
	DIR *dir = opendir("/proc");

	snprintf(wanted, sizeof(wanted), "ksoftirqd/%d\n", cpu);
	while (dir && !found && (d = readdir(dir))) {
		FILE *f;

		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", d->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && strcmp(name, wanted) == 0)
			found = (int)number_of(d->d_name);
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return found;
}

static uint64_t ksoftirqd_ns(int pid)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%llu", &ns) != 1)
		fail("%s: %m", path);
	fclose(f);
	return ns;
}

struct cost {
	int softirqd;
	uint64_t wall, cpu;
};

static struct cost cost_start(void)
{
	struct cost c = {.softirqd = ksoftirqd_pid(sched_getcpu())};

	c.cpu = own_cpu_ns() + ksoftirqd_ns(c.softirqd);
	c.wall = now_ns();
	return c;
}

static void cost_end(struct cost *c)
{
	c->wall = now_ns() - c->wall;
	c->cpu = own_cpu_ns() + ksoftirqd_ns(c->softirqd) - c->cpu;
}

/* ---- sockets ---- */

static void patience_set(int fd)
{
	struct timeval limit = {.tv_sec = PATIENCE};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static int socket_to(const char *addr, long port, int type)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (inet_pton(AF_INET, addr, &sa.sin_addr) != 1)
		fail("%s is not an IPv4 address", addr);
	patience_set(fd);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		fail("connect to %s: %m", addr);
	return fd;
}

static int socket_at(long port, int type)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1, big = 8 << 20;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		fail("bind to %ld: %m", port);
	if (type == SOCK_STREAM && listen(fd, 16))
		fail("listen: %m");
	return fd;
}

/* ---- serve ---- */

static struct sink {
	char data[BATCH][2048];
	struct iovec iov[BATCH];
	struct sockaddr_in from[BATCH];
	struct mmsghdr m[BATCH];
	uint64_t received;
} sink;

/* How many came. */
static int sink_ready(int fd)
{
	int n;

	for (int i = 0; i < BATCH; i++) {
		sink.iov[i] = (struct iovec){sink.data[i], sizeof(sink.data[i])};
		sink.m[i].msg_hdr = (struct msghdr){.msg_iov = &sink.iov[i],
						    .msg_iovlen = 1,
						    .msg_name = &sink.from[i],
						    .msg_namelen = sizeof(sink.from[i])};
	}
	n = recvmmsg(fd, sink.m, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		char answer[32];

		if (sink.m[i].msg_len != strlen(ASK) || memcmp(sink.data[i], ASK, strlen(ASK))) {
			sink.received++;
			continue;
		}
		snprintf(answer, sizeof(answer), "%llu", (unsigned long long)sink.received);
		sendto(fd, answer, strlen(answer), 0, (struct sockaddr *)&sink.from[i],
		       sizeof(sink.from[i]));
	}
	return n;
}

/*
 * Datagrams come in a row: who sleeps between two is woken by an interrupt of another processor,
 * which costs the sender more than many a path, and the more often the slower the path is.
 */
static void sink_drain(int fd)
{
	uint64_t last = now_ns();

	while (now_ns() - last < AWAKE_NS)
		if (sink_ready(fd) > 0)
			last = now_ns();
}

static void echo(int fd)
{
	char data[256];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		if (write(fd, data, (size_t)n) != n)
			break;
}

/* All that comes, then how much it was. */
static void drain(int fd)
{
	static char data[256 << 10];
	uint64_t total = 0;
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		total += (uint64_t)n;
	if (n == 0)
		dprintf(fd, "%llu", (unsigned long long)total);
}

/* One client at a time is enough. Its first byte says what it wants. */
static void client_serve(int listener)
{
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char what = 0;

	if (fd < 0)
		return;
	patience_set(fd);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (read(fd, &what, 1) == 1 && what == STREAM)
		drain(fd);
	else if (what == TURNS)
		echo(fd);
	close(fd);
}

int serve_main(int argc, char **argv)
{
	long port = number_of(argv[0]);
	struct pollfd fds[] = {{socket_at(port, SOCK_DGRAM), POLLIN, 0},
			       {socket_at(port, SOCK_STREAM), POLLIN, 0}};

	while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
		if (fds[0].revents)
			sink_drain(fds[0].fd);
		if (fds[1].revents)
			client_serve(fds[1].fd);
	}
	return 1;
}

/* ---- blast ---- */

static uint64_t received_ask(int fd)
{
	char answer[32] = "";

	for (int i = 0; i < 150; i++) {
		struct pollfd p = {fd, POLLIN, 0};

		if (send(fd, ASK, strlen(ASK), 0) > 0 && poll(&p, 1, 100) > 0 &&
		    recv(fd, answer, sizeof(answer) - 1, 0) > 0)
			return (uint64_t)number_of(answer);
		/* refused, which is at once: it is not up yet */
		poll(NULL, 0, 100);
	}
	fail("the server does not answer");
}

int blast_main(int argc, char **argv)
{
	int fd = socket_to(argv[0], number_of(argv[1]), SOCK_DGRAM);
	uint64_t sent = 0, before = received_ask(fd), end;
	size_t size = (size_t)number_of(argv[3]);
	static char data[SIZE_MAX_];
	struct iovec iov = {data, size < SIZE_MAX_ ? size : SIZE_MAX_};
	struct mmsghdr m[BATCH];
	struct cost c;

	for (int i = 0; i < BATCH; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
	c = cost_start();
	end = c.wall + (uint64_t)number_of(argv[2]) * 1000000u;
	while (now_ns() < end) {
		int n = sendmmsg(fd, m, BATCH, 0);

		if (n < 0 && errno != ENOBUFS)
			fail("send: %m");
		sent += n > 0 ? (uint64_t)n : 0;
	}
	cost_end(&c);
	usleep(20000);
	printf("%llu %llu %llu %llu\n", (unsigned long long)sent,
	       (unsigned long long)(received_ask(fd) - before), (unsigned long long)c.wall,
	       (unsigned long long)c.cpu);
	return 0;
}

/* ---- over TCP ---- */

static int tcp_open(char **argv, char what)
{
	int one = 1, fd = socket_to(argv[0], number_of(argv[1]), SOCK_STREAM);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (write(fd, &what, 1) != 1)
		fail("write: %m");
	return fd;
}

static int tcp_print(uint64_t n, struct cost *c)
{
	printf("%llu %llu %llu\n", (unsigned long long)n, (unsigned long long)c->wall,
	       (unsigned long long)c->cpu);
	return 0;
}

int turns_main(int argc, char **argv)
{
	int fd = tcp_open(argv, TURNS);
	struct cost c = cost_start();
	uint64_t turns = 0, end = c.wall + (uint64_t)number_of(argv[2]) * 1000000u;
	char b = 'x';

	while (now_ns() < end) {
		if (write(fd, &b, 1) != 1 || read(fd, &b, 1) != 1)
			fail("turn: %m");
		turns++;
	}
	cost_end(&c);
	return tcp_print(turns, &c);
}

int stream_main(int argc, char **argv)
{
	static char data[128 << 10], answer[32];
	int fd = tcp_open(argv, STREAM);
	struct cost c = cost_start();
	uint64_t end = c.wall + (uint64_t)number_of(argv[2]) * 1000000u;

	while (now_ns() < end)
		if (write(fd, data, sizeof(data)) < 0)
			fail("stream: %m");
	shutdown(fd, SHUT_WR);
	if (read(fd, answer, sizeof(answer) - 1) <= 0)
		fail("stream: no answer: %m");
	cost_end(&c);
	return tcp_print((uint64_t)number_of(answer), &c);
}
