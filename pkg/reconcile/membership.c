/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/membership_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/claims.h"

#define AT_ONCE 256 /* packets read of a family before something else has its turn */
#define BATCH	32  /* by one call */
/*
 * Of many peers something comes all the time. To wake for each packet costs more than the packet,
 * so they are left to gather for a part of the interval; who falls silent is missed later by that.
 * A flood is read as it comes: the socket's buffer would not hold it.
 */
#define GATHER_PEERS 10 /* at least: it must save more calls than it makes */
#define GATHER_PARTS 5	/* of an interval */
#define GATHER_MS    20 /* at most */
#define FLOOD	     (AT_ONCE / 2)
#define FLOOD_MS     1000

static void peers_drop(struct membership *ms)
{
	for (size_t i = 0; i < ms->n; i++)
		free(ms->names[i]);
	free(ms->names);
	free(ms->peers);
	free(ms->heard);
	free(ms->tiers);
	ms->names = NULL;
	ms->peers = NULL;
	ms->heard = NULL;
	ms->tiers = NULL;
	ms->n = 0;
}

static void on_packet(int fd, uint32_t events, void *data);

static int listen_set(struct membership *ms, int f, bool on, struct err *e)
{
	int r = 0;

	if (ms->listens[f] == on || ms->fds[f] < 0)
		return 0;
	if (on)
		r = loop_add_fd(ms->in.loop, ms->fds[f], EPOLLIN, on_packet, ms, e);
	else
		loop_del_fd(ms->in.loop, ms->fds[f]);
	if (r == 0)
		ms->listens[f] = on;
	return r;
}

static void socket_drop(struct membership *ms, int f)
{
	if (ms->fds[f] < 0)
		return;
	listen_set(ms, f, false, NULL);
	close(ms->fds[f]);
	ms->fds[f] = -1;
}

void membership_free(struct membership *ms)
{
	if (!ms)
		return;
	for (int f = 0; f < 2; f++)
		socket_drop(ms, f);
	loop_timer_free(ms->timer);
	peers_drop(ms);
	members_free(ms->m);
	free(ms->self);
	free(ms->kept);
	membership_keys_close(ms);
	free(ms);
}

/* ---- what comes and what goes ---- */

static void take_in(struct membership *ms, const void *buf, size_t len)
{
	struct heartbeat h;
	int r = keyring_heartbeat(&ms->ring, buf, len, &h);
	enum members_fate fate;

	if (r < 0)
		fate = r == -EKEYREJECTED ? MEMBERS_WRONG_KEY : MEMBERS_GARBAGE;
	else
		fate = members_receive(ms->m, &h, clock_ms());
	ms->fates[fate]++;
}

static int read_some(struct membership *ms, int fd)
{
	uint8_t bufs[BATCH][HEARTBEAT_LEN + 1];
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec parts[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){bufs[i], sizeof(bufs[i])};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	n = recvmmsg(fd, msgs, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		take_in(ms, bufs[i], msgs[i].msg_len);
	return n < 0 && (errno == EINTR || errno == ECONNREFUSED) ? BATCH : n;
}

/* All that waits, before anybody is judged: who was held up itself calls nobody late. */
static int read_all(struct membership *ms)
{
	int all = 0;

	ms->facts.time_ms = (uint64_t)wall_ms();
	members_set_self(ms->m, &ms->facts, clock_ms());
	for (int f = 0; f < 2; f++)
		for (int i = 0; i < AT_ONCE && ms->fds[f] >= 0; i += BATCH) {
			int n = read_some(ms, ms->fds[f]);

			all += n > 0 ? n : 0;
			if (n < BATCH)
				break;
		}
	return all;
}

static socklen_t sockaddr_fill(struct sockaddr_storage *sa, struct addr a, uint16_t port)
{
	struct sockaddr_in *v4 = (void *)sa;
	struct sockaddr_in6 *v6 = (void *)sa;

	memset(sa, 0, sizeof(*sa));
	if (addr_is_v4(a)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, addr_bytes(&a), 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, addr_bytes(&a), 16);
	return sizeof(*v6);
}

static void send_one(struct membership *ms, const struct compiled_node *to,
		     const uint8_t buf[HEARTBEAT_LEN])
{
	bool v4 = ms->fds[0] >= 0 && !addr_is_zero(to->v4);
	struct addr a = v4 ? to->v4 : to->v6;
	struct sockaddr_storage sa;
	socklen_t len;

	if (addr_is_zero(a) || ms->fds[v4 ? 0 : 1] < 0)
		return;
	len = sockaddr_fill(&sa, a, ms->in.conf->gateway_port);
	/* one that is lost is one of those that may be */
	ms->sent += sendto(ms->fds[v4 ? 0 : 1], buf, HEARTBEAT_LEN, MSG_DONTWAIT,
			   (const struct sockaddr *)&sa, len) == HEARTBEAT_LEN;
}

static void send_all(struct membership *ms)
{
	uint8_t buf[HEARTBEAT_LEN];
	struct heartbeat h;
	size_t peer;

	while (members_send(ms->m, clock_ms(), &peer, &h)) {
		for (size_t i = 0; i < keyring_tells(&ms->ring, h.key); i++) {
			heartbeat_emit(&h, &ms->ring.keys[i].key, buf);
			send_one(ms, &ms->peers[peer].node, buf);
		}
	}
}

/* Who came and who went, and what this node says of itself. */
static void changes_tell(struct membership *ms)
{
	uint8_t state = members_self_state(ms->m);

	if (state != ms->state && ms->n)
		log_info("this gateway's state", "state=%s", membership_state_text(state));
	ms->state = state;
	for (size_t i = 0; i < ms->n; i++) {
		struct member_view v;

		members_get(ms->m, i, &v);
		if (v.heard == ms->heard[i])
			continue;
		ms->heard[i] = v.heard;
		ms->returns += v.heard;
		log_info(v.heard ? "gateway is heard" : "gateway is not heard any more", "node=%s",
			 v.name);
	}
}

/* ---- when ---- */

/* How long packets may wait after so many of them were read; 0: each is an event. */
static int64_t gather_ms(struct membership *ms, int read, int64_t now)
{
	uint32_t interval = GATHER_MS * GATHER_PARTS;

	for (size_t i = 0; i < ms->n; i++)
		if (ms->peers[i].failover.interval_ms < interval)
			interval = ms->peers[i].failover.interval_ms;
	if (read >= FLOOD)
		ms->calm_at = now + FLOOD_MS;
	return ms->n < GATHER_PEERS || now < ms->calm_at ? 0 : interval / GATHER_PARTS;
}

static void timer_set(struct membership *ms, int64_t due, int64_t now)
{
	if (due > now && due == ms->armed)
		return;
	ms->armed = due;
	loop_timer_arm(ms->timer, due == INT64_MAX ? -1 : due > now ? due - now : 0);
}

void membership_run(struct membership *ms)
{
	int64_t now = clock_ms(), due, gather;
	int read;

	if (!ms->m)
		return;
	read = read_all(ms);
	members_tick(ms->m, now);
	send_all(ms);
	changes_tell(ms);
	if (!ms->timer)
		return;
	due = members_serial(ms->m) == ms->seen_serial ? members_due(ms->m, now) : now;
	gather = gather_ms(ms, read, now);
	for (int f = 0; f < 2; f++)
		if (listen_set(ms, f, !gather, NULL) < 0)
			gather = GATHER_MS;
	if (gather && due > now + gather)
		due = now + gather;
	timer_set(ms, due, now);
}

/* Outside of a pass: what has changed is for one, and that is at once. */
static void run_and_tell(struct membership *ms)
{
	membership_run(ms);
	if (members_serial(ms->m) == ms->seen_serial)
		return;
	ms->seen_serial = members_serial(ms->m);
	ms->in.changed(ms->in.data);
}

static void on_timer(void *data)
{
	((struct membership *)data)->armed = 0;
	run_and_tell(data);
}

static void on_packet(int fd, uint32_t events, void *data)
{
	run_and_tell(data);
}

/* ---- setting up ---- */

int membership_new(const struct membership_in *in, struct membership **ret, struct err *e)
{
	__cleanup(membership_freep) struct membership *ms = mem_alloc0(sizeof(*ms));
	int r;

	ms->in = *in;
	ms->fds[0] = ms->fds[1] = -1;
	r = membership_keys_open(ms, e);
	if (r == 0 && in->loop)
		r = loop_timer_new(in->loop, on_timer, ms, &ms->timer, e);
	if (r < 0)
		return r;
	*ret = TAKE(ms);
	return 0;
}

static int socket_open(struct membership *ms, int f, struct err *e)
{
	__cleanup_close int fd = socket(f ? AF_INET6 : AF_INET,
					SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1, urgent = IPTOS_CLASS_CS6, size = 1 << 20;
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_fill(&sa, ms->own[f], ms->in.conf->gateway_port);
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "socket for heartbeats");
	setsockopt(fd, f ? IPPROTO_IPV6 : IPPROTO_IP, f ? IPV6_TCLASS : IP_TOS, &urgent,
		   sizeof(urgent));
	setsockopt(fd, f ? IPPROTO_IPV6 : IPPROTO_IP, f ? IPV6_FREEBIND : IP_FREEBIND, &on,
		   sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (const struct sockaddr *)&sa, len) < 0)
		return err_sys(e, -errno, "heartbeats at %s port %u", addr_str(ms->own[f]),
			       ms->in.conf->gateway_port);
	ms->fds[f] = TAKE_FD(fd);
	r = listen_set(ms, f, true, e);
	if (r < 0)
		socket_drop(ms, f);
	return r;
}

static void sockets_update(struct membership *ms, const struct compiled_node *self)
{
	const struct addr own[2] = {self->v4, self->v6};

	for (int f = 0; f < 2 && ms->in.loop; f++) {
		struct err e = {0};

		if (!addr_eq(own[f], ms->own[f]) || ms->n == 0)
			socket_drop(ms, f);
		ms->own[f] = own[f];
		if (ms->fds[f] >= 0 || ms->n == 0 || addr_is_zero(own[f]))
			continue;
		if (socket_open(ms, f, &e) < 0 && strcmp(e.msg, ms->err.msg) != 0)
			log_error("heartbeats", "error=%s", log_quote(e.msg));
		ms->err = e;
	}
}

static uint64_t peers_digest(const struct compiled_peer *list, size_t n, const char *self)
{
	uint64_t h = hash_str(self, n);

	for (size_t i = 0; i < n; i++) {
		const struct compiled_peer *p = &list[i];
		const uint32_t values[] = {p->failover.interval_ms, p->failover.hold_down_ms,
					   p->failover.missed};

		h = hash_bytes(p->node.v4.b, 16, hash_str(p->node.name, h));
		h = hash_bytes(values, sizeof(values), hash_bytes(p->node.v6.b, 16, h));
	}
	return h;
}

/* Takes list over. */
static void peers_take(struct membership *ms, struct compiled_peer *list, size_t n,
		       const char *self)
{
	struct member_conf *conf = mem_alloc0((n + 1) * sizeof(*conf));
	size_t kept = 0;

	peers_drop(ms);
	free(ms->self);
	ms->self = mem_strdup(self);
	ms->peers = list;
	ms->names = mem_alloc0((n + 1) * sizeof(*ms->names));
	ms->heard = mem_alloc0(n + 1);
	ms->tiers = mem_alloc0((n + 1) * sizeof(*ms->tiers)); /* with this node */
	for (size_t i = 0; i < n; i++) {
		conf[i] = (struct member_conf){
			.name = list[i].node.name,
			.interval_ms = list[i].failover.interval_ms,
			.hold_down_ms = list[i].failover.hold_down_ms,
			.missed = list[i].failover.missed,
		};
	}
	ms->too_many = members_configure(ms->m, self, conf, n, clock_ms()) < 0;
	for (size_t i = 0; i < n && !ms->too_many; i++) {
		if (strcmp(list[i].node.name, self) == 0)
			continue;
		list[kept] = list[i];
		ms->names[kept] = mem_strdup(list[i].node.name);
		list[kept].node.name = ms->names[kept];
		kept++;
	}
	ms->n = kept;
	if (ms->too_many)
		log_error("too many gateways for heartbeats, objects alone decide",
			  "gateways=%zu most=%d", n, MEMBERS_MAX);
	free(conf);
}

static const struct compiled_node *node_of(const struct compiled *c, const char *name)
{
	const struct compiled_node *nodes;
	size_t n;

	nodes = compiled_nodes(c, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(nodes[i].name, name) == 0)
			return &nodes[i];
	return NULL;
}

/* Not ready by its object, while there are others that are. */
static bool is_doubted(const struct compiled_peer *list, size_t n, const char *self)
{
	bool doubted = false, others = false;

	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].node.name, self) == 0)
			doubted = list[i].not_ready;
		else
			others = others || !list[i].not_ready;
	return doubted && others;
}

bool membership_configure(struct membership *ms, const struct compiled *c, const char *self,
			  const struct node_state *node)
{
	struct compiled_peer *list = NULL;
	uint64_t digest, before;
	size_t n;

	if (!ms)
		return false;
	if (!ms->m) {
		__cleanup_free struct addr *ours = mem_alloc0((node->n_addrs + 1) * sizeof(*ours));

		ms->facts.holds = membership_ours(node, ours) > 0;
		ms->m = members_new((uint64_t)wall_ms(), &ms->facts, clock_ms());
	}
	compiled_peers(c, &list, &n);
	ms->facts.doubted = is_doubted(list, n, self);
	digest = peers_digest(list, n, self);
	if (digest == ms->configured) {
		free(list);
		sockets_update(ms, node_of(c, self));
		return false;
	}
	before = members_serial(ms->m);
	ms->configured = digest;
	peers_take(ms, list, n, self);
	sockets_update(ms, node_of(c, self));
	return members_serial(ms->m) != before;
}
