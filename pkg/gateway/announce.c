/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole frames on a packet socket, for both families: a probe has no source
 * address (0.0.0.0, ::), which no other socket would send, and an announcement may
 * carry a MAC that is not the device's own. What comes in is filtered in the
 * kernel, so a busy segment costs nothing.
 */
#include "gateway/announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define PROBES	      3
#define MAX_SEGMENTS  16
#define SLICE_MS      5
#define ND_SOLICIT    135
#define ND_ADVERTISE  136
#define ND_OVERRIDE   0x20
#define OPT_TARGET_LL 2
#define IPPROTO_ICMP6 58
#define MAC_LEN	      6

struct arp_frame {
	struct ethhdr eth;
	uint16_t hrd, pro;
	uint8_t hln, pln;
	uint16_t op;
	uint8_t sender_mac[MAC_LEN], sender_ip[4], target_mac[MAC_LEN], target_ip[4];
} __attribute__((packed));

struct nd_frame {
	struct ethhdr eth;
	uint32_t version;
	uint16_t payload;
	uint8_t next, hops;
	uint8_t src[16], dst[16];
	/* ICMPv6 */
	uint8_t type, code;
	uint16_t csum;
	uint8_t flags, reserved[3];
	uint8_t target[16];
	uint8_t opt_type, opt_len, opt_mac[MAC_LEN]; /* advertisement only */
} __attribute__((packed));

#define ND_OPTION_LEN 8
#define ND_BARE_LEN   (sizeof(struct nd_frame) - ND_OPTION_LEN)
#define ICMP_OFFSET   offsetof(struct nd_frame, type)

_Static_assert(sizeof(struct arp_frame) == 42, "RFC 826 on Ethernet");
_Static_assert(ND_BARE_LEN == 14 + 40 + 24, "RFC 4861 4.3");

union frame {
	struct ethhdr eth;
	struct arp_frame arp;
	struct nd_frame nd;
	uint8_t bytes[256];
};

/* ---- building ---- */

static size_t make_arp(union frame *f, const uint8_t own_mac[MAC_LEN], struct addr addr,
		       bool announce)
{
	struct arp_frame *a = &f->arp;

	*a = (struct arp_frame){
		.eth.h_proto = htons(ETH_P_ARP),
		.hrd = htons(ARPHRD_ETHER),
		.pro = htons(ETH_P_IP),
		.hln = MAC_LEN,
		.pln = 4,
		.op = htons(ARPOP_REQUEST),
	};
	memset(a->eth.h_dest, 0xff, MAC_LEN);
	memcpy(a->eth.h_source, own_mac, MAC_LEN);
	memcpy(a->sender_mac, own_mac, MAC_LEN);
	memcpy(a->target_ip, addr_bytes(&addr), 4);
	if (announce)
		memcpy(a->sender_ip, a->target_ip, 4);
	return sizeof(*a);
}

static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

/* RFC 4443 2.3; all lengths here are even. */
static uint16_t nd_checksum(const struct nd_frame *n, size_t icmp_len)
{
	uint32_t sum = (uint32_t)icmp_len + IPPROTO_ICMP6;

	sum = sum16(sum, n->src, sizeof(n->src) + sizeof(n->dst));
	sum = sum16(sum, (const uint8_t *)n + ICMP_OFFSET, icmp_len);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Solicitation: from ::, to the target's solicited-node group. Advertisement: from itself, to all
 * nodes. */
static size_t make_nd(union frame *f, const uint8_t own_mac[MAC_LEN], struct addr addr,
		      bool announce)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	static const uint8_t solicited[16] = {0xff, 0x02, [11] = 1, [12] = 0xff};
	size_t len = announce ? sizeof(f->nd) : ND_BARE_LEN;
	struct nd_frame *n = &f->nd;

	*n = (struct nd_frame){
		.eth.h_proto = htons(ETH_P_IPV6),
		.version = htonl(6u << 28),
		.payload = htons((uint16_t)(len - ICMP_OFFSET)),
		.next = IPPROTO_ICMP6,
		.hops = 255,
		.type = announce ? ND_ADVERTISE : ND_SOLICIT,
		.flags = announce ? ND_OVERRIDE : 0,
		.opt_type = OPT_TARGET_LL,
		.opt_len = 1,
	};
	memcpy(n->dst, announce ? all_nodes : solicited, sizeof(n->dst));
	memcpy(n->target, addr_bytes(&addr), sizeof(n->target));
	if (announce)
		memcpy(n->src, n->target, sizeof(n->src));
	else
		memcpy(n->dst + 13, n->target + 13, 3);
	memcpy(n->opt_mac, own_mac, MAC_LEN);
	memcpy(n->eth.h_source, own_mac, MAC_LEN);
	n->eth.h_dest[0] = n->eth.h_dest[1] = 0x33;
	memcpy(n->eth.h_dest + 2, n->dst + 12, 4);
	n->csum = nd_checksum(n, len - ICMP_OFFSET);
	return len;
}

static size_t make(union frame *f, const uint8_t own_mac[MAC_LEN], struct addr addr, bool announce)
{
	return addr_is_v4(addr) ? make_arp(f, own_mac, addr, announce)
				: make_nd(f, own_mac, addr, announce);
}

/* ---- reading: does this frame say that somebody else has, or wants, the address? ---- */

static bool read_arp(const union frame *f, size_t len, struct addr addr, uint8_t mac[MAC_LEN])
{
	static const uint8_t none[4];
	const struct arp_frame *a = &f->arp;
	const void *ip = addr_bytes(&addr);

	if (len < sizeof(*a) || a->hln != MAC_LEN || a->pln != 4 || a->pro != htons(ETH_P_IP))
		return false;
	/* RFC 5227 2.1.1: any packet from the address, or another's probe for it */
	if (memcmp(a->sender_ip, ip, 4) != 0 &&
	    (memcmp(a->sender_ip, none, 4) != 0 || memcmp(a->target_ip, ip, 4) != 0 ||
	     a->op != htons(ARPOP_REQUEST)))
		return false;
	memcpy(mac, a->sender_mac, MAC_LEN);
	return true;
}

static bool read_nd(const union frame *f, size_t len, struct addr addr, uint8_t mac[MAC_LEN])
{
	static const uint8_t none[16];
	const struct nd_frame *n = &f->nd;

	/* the hop limit proves that no router passed it on */
	if (len < ND_BARE_LEN || n->next != IPPROTO_ICMP6 || n->hops != 255 || n->code != 0 ||
	    memcmp(n->target, addr_bytes(&addr), sizeof(n->target)) != 0)
		return false;
	/* RFC 4862 5.4.3: a solicitation from :: is another one's detection of duplicates */
	if (n->type != ND_ADVERTISE &&
	    (n->type != ND_SOLICIT || memcmp(n->src, none, sizeof(none)) != 0))
		return false;
	memcpy(mac, n->eth.h_source, MAC_LEN);
	if (n->type == ND_ADVERTISE && len >= sizeof(*n) && n->opt_type == OPT_TARGET_LL &&
	    n->opt_len == 1)
		memcpy(mac, n->opt_mac, MAC_LEN);
	return true;
}

/* ---- the socket ---- */

static int attach_filter(int fd)
{
	/* IPv6 only: neighbour solicitations and advertisements; for ARP the protocol is enough */
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct nd_frame, next)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP6, 0, 4),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ICMP_OFFSET),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_SOLICIT, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_ADVERTISE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, sizeof(union frame)),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

static int open_socket(uint32_t ifindex, bool v4, int *ret_fd, struct err *e)
{
	__cleanup_close int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_ll self = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(v4 ? ETH_P_ARP : ETH_P_IPV6),
		.sll_ifindex = (int)ifindex,
	};
	socklen_t len = sizeof(self);
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "packet socket");
	r = v4 ? 0 : attach_filter(fd);
	if (r < 0)
		return err_sys(e, r, "packet socket: filter");
	/* deaf until now: protocol 0 */
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&self, &len) < 0)
		return err_sys(e, -errno, "packet socket on interface %u", ifindex);
	if (self.sll_hatype != ARPHRD_ETHER)
		return err_set(e, -EOPNOTSUPP,
			       "interface %u is not Ethernet: nothing to announce to", ifindex);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_frame(int fd, const union frame *f, size_t len, struct err *e)
{
	ssize_t n = send(fd, f, len, 0);

	if (n != (ssize_t)len)
		return err_sys(e, n < 0 ? -errno : -EIO, "announce");
	return 0;
}

/* ---- probing ---- */

struct meanwhile {
	void (*fn)(void *data);
	void *data;
};

/* Those of one interface and family, behind one socket. */
struct probe_group {
	int fd;
	struct probe *list; /* sorted by addr */
	size_t n;
};

static int probe_cmp(const void *va, const void *vb)
{
	const struct probe *a = va, *b = vb;
	bool v4 = addr_is_v4(a->addr);

	if (a->ifindex != b->ifindex)
		return a->ifindex < b->ifindex ? -1 : 1;
	if (v4 != addr_is_v4(b->addr))
		return v4 ? -1 : 1;
	return addr_cmp(a->addr, b->addr);
}

static void probe_hit(const struct probe_group *g, const union frame *f, size_t len,
		      const void *bytes)
{
	bool v4 = addr_is_v4(g->list->addr);
	struct probe key = {.ifindex = g->list->ifindex,
			    .addr = v4 ? addr_from_v4(bytes) : addr_from_v6(bytes)};
	struct probe *p = bsearch(&key, g->list, g->n, sizeof(key), probe_cmp);
	uint8_t mac[MAC_LEN];

	if (!p || p->taken ||
	    !(v4 ? read_arp(f, len, p->addr, mac) : read_nd(f, len, p->addr, mac)) ||
	    memcmp(mac, p->own_mac, MAC_LEN) == 0)
		return;
	p->taken = true;
	memcpy(p->mac, mac, MAC_LEN);
}

/* -EAGAIN = none left. */
static int take_frame(const struct probe_group *g)
{
	struct sockaddr_ll from;
	socklen_t from_len = sizeof(from);
	union frame f;
	ssize_t n = recvfrom(g->fd, &f, sizeof(f), MSG_TRUNC, (struct sockaddr *)&from, &from_len);

	if (n < 0)
		return -errno;
	if (n > (ssize_t)sizeof(f))
		n = sizeof(f);
	if (from.sll_pkttype == PACKET_OUTGOING)
		return 0;
	if (!addr_is_v4(g->list->addr)) {
		probe_hit(g, &f, (size_t)n, f.nd.target);
		return 0;
	}
	/* who says it is, and who asks as we do */
	probe_hit(g, &f, (size_t)n, f.arp.sender_ip);
	probe_hit(g, &f, (size_t)n, f.arp.target_ip);
	return 0;
}

/* All that waits. */
static int take_frames(const struct probe_group *g)
{
	int r;

	do
		r = take_frame(g);
	while (r == 0 || r == -EINTR);
	return r == -EAGAIN ? 0 : r;
}

static void group_failed(struct probe_group *g, const struct err *e)
{
	for (size_t i = 0; i < g->n; i++) {
		g->list[i].err = *e;
		err_wrap(&g->list[i].err, "probe %s on interface %u", addr_str(g->list[i].addr),
			 g->list[i].ifindex);
	}
	cleanup_closep(&g->fd);
	g->fd = -1;
}

static void group_send(struct probe_group *g)
{
	struct err e = {0};

	for (size_t i = 0; i < g->n && g->fd >= 0; i++) {
		struct probe *p = &g->list[i];
		union frame f;
		size_t len = make(&f, p->own_mac, p->addr, false);

		if (!p->taken && send_frame(g->fd, &f, len, &e) < 0)
			group_failed(g, &e);
		else if (i % 64 == 63)
			take_frames(g); /* answers to the first ones: the buffer has an end */
	}
}

static void groups_take(struct probe_group *groups, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct err e = {0};
		int r = groups[i].fd >= 0 ? take_frames(&groups[i]) : 0;

		if (r < 0) {
			err_sys(&e, r, "listen");
			group_failed(&groups[i], &e);
		}
	}
}

static bool all_answered(const struct probe_group *groups, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < groups[i].n; k++)
			if (groups[i].fd >= 0 && !groups[i].list[k].taken)
				return false;
	return true;
}

/*
 * Until then. Who was given no processor for all that time reads what came in the meantime
 * before speaking of silence.
 */
static void listen_until(struct probe_group *groups, size_t n, int64_t deadline,
			 const struct meanwhile *other)
{
	struct pollfd p[2 * MAX_SEGMENTS];
	int64_t left;

	do {
		left = deadline - clock_ms();
		for (size_t i = 0; i < n; i++)
			p[i] = (struct pollfd){.fd = groups[i].fd, .events = POLLIN};
		poll(p, n, left <= 0 ? 0 : left < SLICE_MS ? (int)left : SLICE_MS);
		groups_take(groups, n);
		if (other->fn)
			other->fn(other->data);
	} while (left > 0 && !all_answered(groups, n));
}

static size_t groups_open(struct probe *list, size_t n, struct probe_group *groups)
{
	size_t n_groups = 0, end;

	for (size_t i = 0; i < n; i = end) {
		struct probe_group g = {.fd = -1, .list = &list[i]};
		bool v4 = addr_is_v4(list[i].addr);
		struct err e = {0};

		for (end = i; end < n && list[end].ifindex == list[i].ifindex &&
			      addr_is_v4(list[end].addr) == v4;
		     end++)
			;
		g.n = end - i;
		if (n_groups == 2 * MAX_SEGMENTS)
			err_set(&e, -E2BIG, "more than %d interfaces at once", MAX_SEGMENTS);
		else
			open_socket(list[i].ifindex, v4, &g.fd, &e);
		if (e.code)
			group_failed(&g, &e);
		else
			groups[n_groups++] = g;
	}
	return n_groups;
}

void announce_probe_all(struct probe *list, size_t n, int timeout_ms, void (*meanwhile)(void *data),
			void *data)
{
	const struct meanwhile other = {meanwhile, data};
	struct probe_group groups[2 * MAX_SEGMENTS];
	size_t n_groups;

	for (size_t i = 0; i < n; i++) {
		list[i].taken = false;
		list[i].err = (struct err){0};
	}
	if (n)
		qsort(list, n, sizeof(*list), probe_cmp);
	n_groups = groups_open(list, n, groups);
	for (int i = 0; i < PROBES && !all_answered(groups, n_groups); i++) {
		int ms = timeout_ms * (i + 1) / PROBES - timeout_ms * i / PROBES;

		for (size_t k = 0; k < n_groups; k++)
			group_send(&groups[k]);
		/* each has its time from when it was sent, however late that was */
		listen_until(groups, n_groups, clock_ms() + ms, &other);
	}
	for (size_t k = 0; k < n_groups; k++)
		cleanup_closep(&groups[k].fd);
}

int announce_send(uint32_t ifindex, const uint8_t own_mac[6], struct addr addr, struct err *e)
{
	__cleanup_close int fd = -1;
	union frame f;
	size_t len = make(&f, own_mac, addr, true);
	int r = open_socket(ifindex, addr_is_v4(addr), &fd, e);

	if (r == 0)
		r = send_frame(fd, &f, len, e);
	if (r < 0)
		err_wrap(e, "announce %s on interface %u", addr_str(addr), ifindex);
	return r;
}
