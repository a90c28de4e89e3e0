/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/channel_priv.h"
#include "loop/listener.h"

size_t channels_open(const struct channels *all)
{
	size_t n = 0;

	for (const struct channel *c = all->list; c; c = c->next)
		n += !c->dead;
	return n;
}

/* fd is the channel's from here on. */
static int channel_new(struct channels *all, int fd, bool opener, struct channel **ret,
		       struct err *e)
{
	struct channel *c = mem_alloc0(sizeof(*c));
	struct hello h = {.magic = "SLGW", .version = 1};
	int one = 1, r;

	*c = (struct channel){.all = all, .fd = fd, .opener = opener, .events = EPOLLIN | EPOLLOUT};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	r = loop_timer_new(all->loop, channel_on_silence, c, &c->silent, e);
	if (r == 0 && getrandom(c->own, CHANNEL_NONCE, 0) != CHANNEL_NONCE)
		r = err_sys(e, -errno, "getrandom");
	if (r == 0)
		r = loop_add_fd(all->loop, fd, c->events, channel_on_ready, c, e);
	if (r < 0) {
		channel_free(c);
		return r;
	}
	loop_timer_arm(c->silent, CHANNEL_SILENT_MS);
	memcpy(h.nonce, c->own, CHANNEL_NONCE);
	channel_put(c, &h, sizeof(h)); /* sent when the socket can be written to */
	c->next = all->list;
	all->list = c;
	*ret = c;
	return 0;
}

static void sockaddr_of(struct addr a, uint16_t port, struct sockaddr_in6 *ret)
{
	*ret = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	memcpy(&ret->sin6_addr, a.b, sizeof(a.b)); /* IPv4 is mapped in both */
}

/* One that the other side has: that it was heard under; else the one that signs. */
static uint64_t key_towards(const struct channels *all, struct addr to)
{
	const struct channel_keys *keys = &all->keys;
	uint64_t id = keys->heard_under ? keys->heard_under(keys->data, to) : 0;

	return keyring_find(keys->ring, id) ? id : keys->ring->keys[0].id;
}

int channel_open(struct channels *all, struct addr to, uint16_t port, struct channel **ret,
		 struct err *e)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), zero = 0, r;
	struct sockaddr_in6 sa;

	if (fd < 0)
		return err_sys(e, -errno, "socket");
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	sockaddr_of(to, port, &sa);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS) {
		r = err_sys(e, -errno, "connect to %s port %u", addr_str(to), port);
		close(fd);
		return r;
	}
	r = channel_new(all, fd, true, ret, e);
	if (r < 0)
		return r;
	(*ret)->peer = to;
	(*ret)->key = key_towards(all, to);
	return 0;
}

static bool unproven(const struct channel *c)
{
	return !c->dead && !c->opener && !c->proven;
}

/* The list has the latest first, so the last one found is the oldest. */
static void make_room(struct channels *all, const struct channel *of)
{
	struct channel *same = NULL, *stranger = NULL;
	size_t n_same = 0, n_strangers = 0;

	for (struct channel *c = all->list; c; c = c->next) {
		if (!unproven(c))
			continue;
		if (addr_eq(c->peer, of->peer)) {
			n_same++;
			same = c;
		}
		if (!c->known) {
			n_strangers++;
			stranger = c;
		}
	}
	if (n_same > CHANNEL_UNPROVEN)
		channel_refuse(same, "it has shown no key, and others come from there");
	else if (!of->known && n_strangers > CHANNEL_STRANGERS)
		channel_refuse(stranger, "it has shown no key, and others come");
}

static void on_accept(void *data, int fd, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *sa = (const struct sockaddr_in6 *)from;
	struct channels *all = data;
	struct channel *c;

	if (channels_open(all) >= CHANNEL_MAX_OPEN) {
		all->refused++;
		close(fd);
		return;
	}
	if (channel_new(all, fd, false, &c, NULL) < 0)
		return;
	memcpy(c->peer.b, &sa->sin6_addr, sizeof(c->peer.b));
	c->known = all->keys.heard_under && all->keys.heard_under(all->keys.data, c->peer);
	loop_timer_arm(c->silent, CHANNEL_PROVE_MS);
	make_room(all, c);
}

static int listen_on(struct channels *all, uint16_t port, struct err *e)
{
	int one = 1, zero = 0;
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	all->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (all->fd < 0)
		return err_sys(e, -errno, "socket");
	setsockopt(all->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	setsockopt(all->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(all->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(all->fd, 16) < 0)
		return err_sys(e, -errno, "listen for gateways on TCP port %u", port);
	return listener_new(&(struct listener_in){.loop = all->loop,
						  .fd = all->fd,
						  .what = "gateways",
						  .accepted = on_accept,
						  .data = all},
			    &all->listener, e);
}

int channels_new(const struct channels_in *in, struct channels **ret, struct err *e)
{
	struct channels *all = mem_alloc0(sizeof(*all));
	int r;

	*all = (struct channels){
		.loop = in->loop,
		.keys = in->keys,
		.ops = in->ops,
		.data = in->data,
		.fd = -1,
	};
	r = loop_timer_new(in->loop, channels_on_sweep, all, &all->sweep, e);
	if (r == 0)
		r = listen_on(all, in->port, e);
	if (r < 0) {
		channels_free(all);
		return r;
	}
	*ret = all;
	return 0;
}

void channels_free(struct channels *all)
{
	if (!all)
		return;
	while (all->list) {
		struct channel *c = all->list;

		all->list = c->next;
		channel_free(c);
	}
	loop_timer_free(all->sweep);
	listener_free(all->listener);
	cleanup_closep(&all->fd);
	free(all);
}

uint16_t channels_port(const struct channels *all)
{
	struct sockaddr_in6 sa = {0};
	socklen_t len = sizeof(sa);

	getsockname(all->fd, (struct sockaddr *)&sa, &len);
	return ntohs(sa.sin6_port);
}

uint64_t channels_refused(const struct channels *all)
{
	return all->refused;
}
