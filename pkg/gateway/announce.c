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
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "gateway/announce_frame.h"

#define PROBES	     3
#define MAX_SEGMENTS 16
#define SLICE_MS     5

/* ---- the sockets ---- */

struct announcer {
	int fd;			    /* only sends; -1 = not there yet */
	int left[2 * MAX_SEGMENTS]; /* by the last probe */
	size_t n_left;
};

struct announcer *announcer_new(void)
{
	struct announcer *an = mem_alloc0(sizeof(*an));

	an->fd = -1;
	return an;
}

void announcer_rest(struct announcer *an)
{
	for (size_t i = 0; i < an->n_left; i++)
		close(an->left[i]);
	an->n_left = 0;
}

void announcer_free(struct announcer *an)
{
	if (!an)
		return;
	announcer_rest(an);
	cleanup_closep(&an->fd);
	free(an);
}

static int attach_filter(int fd)
{
	/* IPv6 only: neighbour solicitations and advertisements; for ARP the protocol is enough */
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct nd_frame, next)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
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
		return err_set(e, -EOPNOTSUPP, "interface %u is not Ethernet: nobody to ask",
			       ifindex);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_frame(int fd, const union frame *f, size_t len, struct err *e)
{
	ssize_t n = send(fd, f, len, 0);

	if (n != (ssize_t)len)
		return err_sys(e, n < 0 ? -errno : -EIO, "send");
	return 0;
}

/* ---- probing ---- */

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
	    !(v4 ? segment_frame_arp(f, len, p->addr, mac)
		 : segment_frame_nd(f, len, p->addr, mac)) ||
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
		size_t len = segment_frame_make(&f, p->own_mac, p->addr, false);

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
			 const struct probe_round *round)
{
	struct pollfd p[2 * MAX_SEGMENTS];
	int64_t left;

	do {
		left = deadline - clock_ms();
		for (size_t i = 0; i < n; i++)
			p[i] = (struct pollfd){.fd = groups[i].fd, .events = POLLIN};
		poll(p, n, left <= 0 ? 0 : left < SLICE_MS ? (int)left : SLICE_MS);
		groups_take(groups, n);
		if (round->meanwhile)
			round->meanwhile(round->data);
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

void announce_probe_all(struct announcer *an, const struct probe_round *round)
{
	struct probe_group groups[2 * MAX_SEGMENTS];
	struct probe *list = round->list;
	size_t n_groups;

	announcer_rest(an);
	for (size_t i = 0; i < round->n; i++) {
		list[i].taken = false;
		list[i].err = (struct err){0};
	}
	if (round->n)
		qsort(list, round->n, sizeof(*list), probe_cmp);
	n_groups = groups_open(list, round->n, groups);
	for (int i = 0; i < PROBES && !all_answered(groups, n_groups); i++) {
		int ms = round->timeout_ms * (i + 1) / PROBES - round->timeout_ms * i / PROBES;

		for (size_t k = 0; k < n_groups; k++)
			group_send(&groups[k]);
		/* each has its time from when it was sent, however late that was */
		listen_until(groups, n_groups, clock_ms() + ms, round);
	}
	for (size_t k = 0; k < n_groups; k++)
		if (groups[k].fd >= 0)
			an->left[an->n_left++] = groups[k].fd;
}

/* ---- announcing ---- */

static int is_ethernet(int fd, uint32_t ifindex, struct err *e)
{
	struct ifreq q = {.ifr_ifindex = (int)ifindex};

	if (ioctl(fd, SIOCGIFNAME, &q) < 0 || ioctl(fd, SIOCGIFHWADDR, &q) < 0)
		return err_sys(e, -errno, "interface %u", ifindex);
	if (q.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return err_set(e, -EOPNOTSUPP,
			       "interface %u is not Ethernet: nothing to announce to", ifindex);
	return 0;
}

int announce_send(struct announcer *an, uint32_t ifindex, const uint8_t own_mac[6],
		  struct addr addr, struct err *e)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(addr_is_v4(addr) ? ETH_P_ARP : ETH_P_IPV6),
		.sll_ifindex = (int)ifindex,
	};
	union frame f;
	size_t len = segment_frame_make(&f, own_mac, addr, true);
	int r;

	if (an->fd < 0)
		an->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = an->fd < 0 ? err_sys(e, -errno, "packet socket") : is_ethernet(an->fd, ifindex, e);
	if (r == 0 && sendto(an->fd, &f, len, 0, (const struct sockaddr *)&to, sizeof(to)) < 0)
		r = err_sys(e, -errno, "send");
	if (r < 0)
		err_wrap(e, "announce %s on interface %u", addr_str(addr), ifindex);
	return r;
}
