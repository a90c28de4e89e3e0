/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outside server, whose view of the source address is the judge.
 *
 * UDP: every datagram is answered with "ADDR PORT " and the datagram itself, from
 * the address it was sent to. TCP: says "ADDR PORT\n" at once, then does what the
 * first line asks: "echo", "sink" (answers with the number of bytes at the end),
 * "source N" or "push MS". Counts by what it saw ("udp ADDR N", "tcp ADDR N"); with an
 * interface also every IP packet addressed to this host there, by source, whether
 * a socket wanted it or not ("pkt-udp ADDR N", "pkt-tcp", "pkt-icmp", "pkt-other"):
 * a leak that no socket would see shows there.
 */
#include "probe.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_COUNTS 4096

static struct count {
	char key[PROBE_TEXT];
	uint64_t n;
} counts[MAX_COUNTS];
static size_t n_counts;

/* last hit first: a flood has few sources */
static void count(const char *proto, const char *addr)
{
	static size_t last;
	char key[PROBE_TEXT];

	snprintf(key, sizeof(key), "%s %.*s", proto, (int)strcspn(addr, " "), addr);
	if (last < n_counts && !strcmp(counts[last].key, key)) {
		counts[last].n++;
		return;
	}
	for (last = 0; last < n_counts; last++)
		if (!strcmp(counts[last].key, key))
			break;
	if (last == n_counts) {
		if (n_counts == MAX_COUNTS)
			fail("too many sources");
		memcpy(counts[n_counts++].key, key, sizeof(key));
		counts[last].n = 0;
	}
	counts[last].n++;
}

#define AT_ONCE 1024 /* what a handler takes before others have their turn */

/* Returns whether more may wait. */
static bool udp_some(int fd)
{
	static char data[66000];
	struct sockaddr_storage peer;
	char text[PROBE_TEXT], control[256];
	struct iovec in = {data, sizeof(data)}, out[3];
	struct msghdr msg;
	ssize_t n;

	for (int i = 0; i < AT_ONCE; i++) {
		msg = (struct msghdr){.msg_name = &peer,
				      .msg_namelen = sizeof(peer),
				      .msg_iov = &in,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control)};
		n = recvmsg(fd, &msg, MSG_DONTWAIT);
		if (n < 0)
			return false;
		sockaddr_text(&peer, text, sizeof(text));
		count("udp", text);
		out[0] = (struct iovec){text, strlen(text)};
		out[1] = (struct iovec){" ", 1};
		out[2] = (struct iovec){data, (size_t)n > 65000 ? 65000 : (size_t)n};
		/* IPV6_PKTINFO goes back as it came: the answer leaves from the asked address */
		msg.msg_iov = out;
		msg.msg_iovlen = 3;
		sendmsg(fd, &msg, 0);
	}
	return true;
}

static void tcp_sink(int fd)
{
	static char data[1 << 18];
	unsigned long long total = 0;
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		total += (unsigned long long)n;
	if (n == 0)
		dprintf(fd, "%llu\n", total);
}

static void tcp_source(int fd, unsigned long long bytes)
{
	static char data[1 << 18];
	ssize_t n;

	memset(data, 'x', sizeof(data));
	while (bytes > 0) {
		n = write(fd, data, bytes < sizeof(data) ? bytes : sizeof(data));
		if (n <= 0)
			return;
		bytes -= (unsigned long long)n;
	}
}

/* Says something all the time, unasked; ends when the other side has. */
static void tcp_push(int fd, long ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	while (poll(&wait, 1, (int)ms) == 0 && write(fd, "tick\n", 5) == 5)
		;
}

/* in a process of its own */
static void tcp_serve(int fd, const char *peer)
{
	char line[64] = "", data[4096];
	size_t len = 0;
	ssize_t n;

	dprintf(fd, "%s\n", peer);
	while (len < sizeof(line) - 1 && read(fd, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
	if (!strcmp(line, "sink"))
		tcp_sink(fd);
	else if (!strncmp(line, "source ", 7))
		tcp_source(fd, strtoull(line + 7, NULL, 10));
	else if (!strncmp(line, "push ", 5))
		tcp_push(fd, strtol(line + 5, NULL, 10));
	else
		while ((n = read(fd, data, sizeof(data))) > 0 && write(fd, data, (size_t)n) == n)
			;
}

static void tcp_accept(int listener)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	char text[PROBE_TEXT];
	int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	pid_t child;

	if (fd < 0)
		return;
	sockaddr_text(&peer, text, sizeof(text));
	count("tcp", text);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		tcp_serve(fd, text);
		_exit(0);
	}
	close(fd);
}

/*
 * Neighbour discovery, which the link needs, or a router's word to us that it could not pass on our
 * own: who asks whether an address is still there asks its last owner, and that one, when it has
 * it no more and nobody else has, forwards the question like any packet.
 */
static bool neighbours(const uint8_t *p, ssize_t n)
{
	if (p[6] != IPPROTO_ICMPV6)
		return false;
	if (p[40] < 128 && p[8] == 0xfe && n >= 89)
		p += 48; /* what the error is about */
	return p[6] == IPPROTO_ICMPV6 && p[40] >= 130 && p[40] <= 143;
}

/* the source of an IP packet whose network header is at p */
static bool packet_source(const uint8_t *p, ssize_t n, char *text, const char **ret_proto)
{
	uint8_t proto;
	bool nd;

	if (n >= 20 && p[0] >> 4 == 4) {
		inet_ntop(AF_INET, p + 12, text, INET6_ADDRSTRLEN);
		proto = p[9];
		nd = false;
	} else if (n >= 41 && p[0] >> 4 == 6) {
		inet_ntop(AF_INET6, p + 8, text, INET6_ADDRSTRLEN);
		proto = p[6];
		nd = neighbours(p, n);
	} else {
		return false;
	}
	*ret_proto = proto == IPPROTO_UDP				? "pkt-udp"
		     : proto == IPPROTO_TCP				? "pkt-tcp"
		     : proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 ? "pkt-icmp"
									: "pkt-other";
	return !nd;
}

static bool sniff_some(int fd)
{
	uint8_t data[96];
	char text[INET6_ADDRSTRLEN];
	const char *proto;

	for (int i = 0; i < AT_ONCE; i++) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from,
				     &len);

		if (n < 0)
			return false;
		if (from.sll_pkttype == PACKET_HOST && packet_source(data, n, text, &proto))
			count(proto, text);
	}
	return true;
}

static struct pollfd fds[4]; /* UDP, TCP, the interface, who asks for counts */

static void udp_serve(int fd)
{
	udp_some(fd);
}

static void sniff(int fd)
{
	sniff_some(fd);
}

/* Who asks hears of everything that came before. */
static void count_what_waits(void)
{
	for (int i = 0; i < 1024 && udp_some(fds[0].fd); i++)
		;
	for (int i = 0; i < 1024 && fds[2].fd >= 0 && sniff_some(fds[2].fd); i++)
		;
}

static void control_serve(int listener)
{
	static char text[MAX_COUNTS * 8];
	char request[16];
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), used = 0;
	ssize_t n = fd < 0 ? -1 : recv(fd, request, sizeof(request), 0);

	count_what_waits();
	for (size_t i = 0; i < n_counts && used < (int)sizeof(text) - PROBE_TEXT - 24; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "%s %llu\n",
				 counts[i].key, (unsigned long long)counts[i].n);
	if (n == 5 && !memcmp(request, "reset", 5))
		n_counts = 0;
	if (n > 0)
		send(fd, text, (size_t)used, MSG_NOSIGNAL);
	close(fd);
}

static int socket_bound(int type, uint16_t port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int on = 1, off = 0, big = 32 << 20;
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		fail("socket: %m");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (type == SOCK_DGRAM) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	}
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    (type == SOCK_STREAM && listen(fd, 4096)))
		fail("port %u: %m", port);
	return fd;
}

static int sniffer_open(const char *iface)
{
	struct sockaddr_ll sa = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int big = 64 << 20, fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));

	sa.sll_ifindex = (int)if_nametoindex(iface);
	if (fd < 0 || !sa.sll_ifindex || bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		fail("%s: %m", iface);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	return fd;
}

static int control_open(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 16))
		fail("%s: %m", path);
	return fd;
}

int serve_main(int argc, char **argv)
{
	static void (*const handlers[])(int) = {udp_serve, tcp_accept, sniff, control_serve};

	if (argc < 2)
		fail("serve PORT CONTROL-SOCKET [IFACE]");
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	fds[0].fd = socket_bound(SOCK_DGRAM, (uint16_t)number_of(argv[0]));
	fds[1].fd = socket_bound(SOCK_STREAM, (uint16_t)number_of(argv[0]));
	fds[2].fd = argc > 2 ? sniffer_open(argv[2]) : -1;
	fds[3].fd = control_open(argv[1]); /* last: its appearance says that all is open */
	for (int i = 0; i < 4; i++)
		fds[i].events = POLLIN;
	for (;;) {
		if (poll(fds, 4, -1) < 0 && errno != EINTR)
			fail("poll: %m");
		for (int i = 0; i < 4; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				handlers[i](fds[i].fd);
	}
}

int counts_main(int argc, char **argv)
{
	static char text[MAX_COUNTS * 8 + 1];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 120}; /* it takes all that waits first */
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	const char *request = argc > 1 ? argv[1] : "counts";
	ssize_t n;

	if (argc < 1)
		fail("counts CONTROL-SOCKET [reset]");
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", argv[0]);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    send(fd, request, strlen(request), 0) < 0)
		fail("%s: %m", argv[0]);
	n = recv(fd, text, sizeof(text), 0);
	if (n < 0)
		fail("%s: %m", argv[0]);
	fwrite(text, 1, (size_t)n, stdout);
	return 0;
}
