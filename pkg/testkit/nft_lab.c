/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/nft_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "bpf/drop_reasons.h"
#include "testkit/addr_fixture.h"
#include "testkit/netns_fixture.h"

static int self_fd(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int ns_new(void)
{
	int here = self_fd(), made;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	made = self_fd();
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	close(here);
	lab_sh(made, "ip link set lo up");
	return made;
}

void lab_sh(int ns, const char *fmt, ...)
{
	char command[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	sh("nsenter --net=/proc/%d/fd/%d sh -c '%s'", (int)getpid(), ns, command);
}

/* A veth pair, with an IPv4 /24 and an IPv6 /64 on each side. */
struct link_pair {
	const char *name; /* here; eth0 there */
	const char *v4, *v6;
	const char *peer4, *peer6;
};

static void connect_ns(int ns, const struct link_pair *p)
{
	sh("ip link add %s type veth peer name eth0 netns /proc/%d/fd/%d", p->name, (int)getpid(),
	   ns);
	sh("ip link set %s up && ip addr add %s/24 dev %s && ip addr add %s/64 dev %s nodad",
	   p->name, p->v4, p->name, p->v6, p->name);
	lab_sh(ns, "ip link set eth0 up && ip addr add %s/24 dev eth0", p->peer4);
	lab_sh(ns, "ip addr add %s/64 dev eth0 nodad", p->peer6);
}

static void table_new(void)
{
	sh("nft 'table inet t { counter lost { }\n chain pod { }\n chain tunnel { }\n"
	   " chain pre { type filter hook prerouting priority -350\n"
	   "  icmpv6 type { 130-143 } iifname sluice0 drop\n icmpv6 type { 130-143 } return\n"
	   "  iifname p0 goto pod\n iifname sluice0 goto tunnel\n }\n"
	   " chain post { type filter hook postrouting priority 400\n"
	   "  iifname p0 oifname != p0 meta mark & 0x1fffff != 0x%x counter name lost\n }\n }'",
	   LAB_FOREIGN);
}

/* As on the real sluice0: nobody asks for neighbours there. */
static void neighbours(int tun)
{
	sh("ip link set sluice0 address 02:00:00:00:00:01 group %d && "
	   "ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev sluice0 && "
	   "ip neigh add fd99::2 lladdr 02:00:00:00:00:02 dev sluice0",
	   SLU_DEVICE_GROUP);
	lab_sh(tun, "ip link set eth0 address 02:00:00:00:00:02 && "
		    "ip neigh add 10.99.0.1 lladdr 02:00:00:00:00:01 dev eth0 && "
		    "ip neigh add fd99::1 lladdr 02:00:00:00:00:01 dev eth0");
}

static void model_new(struct lab *l)
{
	l->addresses[0] = (struct nft_address){16, addr_of("203.0.113.10"), true};
	l->addresses[1] = (struct nft_address){17, addr_of("203.0.113.11"), false};
	l->addresses[2] = (struct nft_address){18, addr_of("2001:db8::10"), true};
	l->nodes[0] = 14, l->nodes[1] = 700;
	l->inside[0] = cidr_of("10.0.0.0/16");
	l->inside[1] = cidr_of("10.9.0.0/16");
	l->inside[2] = cidr_of("fd00::/16");
	l->inside[3] = cidr_of("fd09::/16");
	l->ends[0] = addr_of(LAB_EXT4), l->ends[1] = addr_of(LAB_EXT6);
	l->m = (struct nft_model){.mark_mask = SLU_MARK_MASK_DEFAULT,
				  .port = SLU_TUNNEL_PORT_DEFAULT,
				  .addresses = l->addresses,
				  .n_addresses = 3,
				  .nodes = l->nodes,
				  .n_nodes = 2,
				  .inside = l->inside,
				  .n_inside = 4,
				  .tunnel_ends = l->ends,
				  .n_tunnel_ends = 2};
}

void lab_apply(struct lab *l)
{
	expect_ok(nft_apply(l->n, &l->m, &l->e), &l->e);
}

uint64_t lab_counted(struct lab *l, unsigned int reason)
{
	struct nft_count counts[SLU_REASON_MAX];

	expect_ok(nft_counters(l->n, counts, &l->e), &l->e);
	return counts[reason].packets;
}

void lab_expect_counted(struct lab *l, unsigned int reason, uint64_t packets)
{
	for (int ms = 0; ms < LAB_SOON && lab_counted(l, reason) < packets; ms += 10)
		usleep(10000);
	assert_int_equal(lab_counted(l, reason), packets);
}

struct lab *lab_new(void)
{
	struct lab *l;

	netns_fresh();
	l = mem_alloc0(sizeof(*l));
	sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
	   "net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0");
	l->pod = ns_new(), l->ext = ns_new(), l->tun = ns_new();
	connect_ns(l->pod, &(struct link_pair){"p0", "10.0.0.1", "fd00::1", "10.0.0.2", "fd00::2"});
	connect_ns(l->ext, &(struct link_pair){"e0", "203.0.113.1", "2001:db8::1", "203.0.113.100",
					       "2001:db8::100"});
	connect_ns(l->tun,
		   &(struct link_pair){"sluice0", "10.99.0.1", "fd99::1", "10.99.0.2", "fd99::2"});
	sh("ip addr add 203.0.113.10/32 dev e0; ip addr add 203.0.113.11/32 dev e0; "
	   "ip addr add 2001:db8::10/128 dev e0 nodad");
	lab_sh(l->pod, "ip route add default via 10.0.0.1 && ip -6 route add default via fd00::1");
	lab_sh(l->tun, "ip addr add 203.0.113.100/32 dev lo && ip addr add 10.9.0.5/32 dev lo && "
		       "ip addr add fd09::5/128 dev lo && ip addr add 2001:db8::100/128 dev lo && "
		       "ip route add default via 10.99.0.1 && ip -6 route add default via fd99::1");
	neighbours(l->tun);
	sh("ip rule add fwmark 0x%x/0x%x lookup 5347 && ip route add default via 10.99.0.2 table "
	   "5347",
	   LAB_DIVERT, LAB_DIVERT);
	sh("ip -6 rule add fwmark 0x%x/0x%x lookup 5347 && ip -6 route add default via fd99::2 "
	   "table 5347",
	   LAB_DIVERT, LAB_DIVERT);
	sh("for c in 10.0.0.0/16 10.9.0.0/16 fd00::/16 fd09::/16; do "
	   "ip route add throw $c table 5347; done");
	sh("ip rule add fwmark 0x%x/0xffe00000 lookup 5348 && ip route add 10.9.0.0/16 via "
	   "10.99.0.2 table 5348",
	   LAB_ID(SLU_ID_REPLY));
	sh("ip -6 rule add fwmark 0x%x/0xffe00000 lookup 5348 && ip -6 route add fd09::/16 via "
	   "fd99::2 table 5348",
	   LAB_ID(SLU_ID_REPLY));
	table_new();
	lab_mark_pod(0);
	lab_mark_tunnel(0, 0);
	model_new(l);
	expect_ok(nft_open(&l->n, &l->e), &l->e);
	lab_apply(l);
	return l;
}

void lab_free(struct lab *l)
{
	if (!l)
		return;
	nft_close(l->n);
	close(l->pod);
	close(l->ext);
	close(l->tun);
	free(l);
}

struct lab *lab_fresh(void **state)
{
	return *state = lab_new();
}

int lab_teardown(void **state)
{
	lab_free(*state);
	return 0;
}

void lab_mark_pod(uint32_t mark)
{
	uint32_t priority = !mark			   ? SLU_PRIORITY_SEEN
			    : mark & LAB_DIVERT		   ? SLU_PRIORITY_TUNNEL
			    : mark >= LAB_ID(SLU_ID_FIRST) ? SLU_PRIORITY_LOCAL
			    : mark == LAB_ID(SLU_ID_CHECK) ? SLU_PRIORITY_RELEASE
							   : SLU_PRIORITY_VERDICT;

	if (mark)
		mark |= LAB_DIVERT;
	sh("nft 'flush chain inet t pod; add rule inet t pod meta mark set 0x%x meta priority set "
	   "%x:%x'",
	   mark | LAB_FOREIGN, priority >> 16, priority & 0xffff);
}

void lab_mark_tunnel(uint32_t mark, uint32_t priority)
{
	sh("nft 'flush chain inet t tunnel; add rule inet t tunnel meta mark set 0x%x meta "
	   "priority set 0:%x'",
	   mark | LAB_FOREIGN | (mark ? LAB_DIVERT : 0), priority);
}

bool lab_foreign_lost(void)
{
	return sh_status("nft list counter inet t lost | grep -q 'packets 0 '") != 0;
}

/* ---- sockets ---- */

static socklen_t sockaddr_of(struct sockaddr_storage *ret, const char *addr, uint16_t port)
{
	struct sockaddr_in *a4 = (void *)ret;
	struct sockaddr_in6 *a6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, addr, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons(port);
		return sizeof(*a4);
	}
	assert_int_equal(inet_pton(AF_INET6, addr, &a6->sin6_addr), 1);
	a6->sin6_family = AF_INET6;
	a6->sin6_port = htons(port);
	return sizeof(*a6);
}

int lab_socket(int ns, int type, const char *addr, uint16_t port)
{
	struct sockaddr_storage a;
	socklen_t len = sockaddr_of(&a, addr, port);
	int here = self_fd(), fd, one = 1;

	if (ns >= 0)
		assert_int_equal(setns(ns, CLONE_NEWNET), 0);
	fd = socket(a.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    type == SOCK_RAW ? IPPROTO_TCP : 0);
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	close(here);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	if (type == SOCK_STREAM && port)
		assert_int_equal(listen(fd, 16), 0);
	return fd;
}

int lab_send(int fd, const char *to, uint16_t port, const char *text)
{
	struct sockaddr_storage a;
	socklen_t len = sockaddr_of(&a, to, port);

	return sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, len) < 0 ? -errno : 0;
}

const char *lab_receive(int fd, int ms, uint16_t *ret_port)
{
	static char from[INET6_ADDRSTRLEN];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	char buf[64];

	if (poll(&p, 1, ms) != 1 ||
	    recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&a, &len) < 0)
		return NULL;
	if (a.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, from, sizeof(from));
	else
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, from, sizeof(from));
	if (ret_port) /* at the same place in both */
		*ret_port = ntohs(((struct sockaddr_in *)&a)->sin_port);
	return from;
}

int lab_connect(int fd, const char *to, uint16_t port, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct sockaddr_storage a;
	socklen_t len = sockaddr_of(&a, to, port);
	int error = ETIMEDOUT;

	if (connect(fd, (struct sockaddr *)&a, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	len = sizeof(error);
	if (poll(&p, 1, ms) == 1)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return -error;
}

void lab_datagram(int from, const char *to, uint16_t port, int at, const char *as)
{
	const char *seen;
	uint16_t back;

	expect_rc_(lab_send(from, to, port, "x"), 0, "send", __FILE__, __LINE__);
	seen = lab_receive(at, as ? LAB_SOON : LAB_NEVER, &back);
	if (!as != !seen || (as && strcmp(as, seen) != 0))
		fail_msg("to %s: seen as %s, not %s", to, seen ? seen : "-", as ? as : "-");
	if (!as)
		return;
	lab_send(at, seen, back, "y");
	seen = lab_receive(from, LAB_SOON, NULL);
	if (!seen || strcmp(seen, to) != 0)
		fail_msg("to %s: answered from %s", to, seen ? seen : "-");
}

void lab_pod_is_seen_as(struct lab *l, bool v4, const char *as)
{
	int server = lab_socket(l->ext, SOCK_DGRAM, v4 ? LAB_EXT4 : LAB_EXT6, 7);
	int client = lab_socket(l->pod, SOCK_DGRAM, v4 ? LAB_POD4 : LAB_POD6, 0);

	lab_datagram(client, v4 ? LAB_EXT4 : LAB_EXT6, 7, server, as);
	close(client);
	close(server);
}
