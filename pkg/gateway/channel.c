/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/channel.h"

#include <arpa/inet.h>
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
#include "gateway/mac.h"

#define NONCE	     16
#define MAX_WAITING  (16u << 20)
#define CLOSE_MS     1000
#define READ_AT_ONCE 65536

static const char protocol[] = "sluice gateway channel 1";

struct hello {
	uint8_t magic[4], version, pad[3];
	uint8_t nonce[NONCE];
};

struct head {
	uint8_t len[4], type, pad[3];
};

/* What goes into a mac before head and payload. */
struct frame_id {
	uint8_t side, pad[7];
	uint8_t opener[NONCE], listener[NONCE];
	uint8_t number[8];
};

struct channel {
	struct channels *all;
	struct channel *next;
	int fd;
	bool opener, greeted, closing, dead;
	uint32_t events; /* that epoll waits for */
	struct addr peer;
	uint8_t own[NONCE], other[NONCE];
	uint64_t sent, seen; /* frames */
	struct loop_timer *silent;
	uint8_t *in, *out;
	size_t n_in, n_out, off_out;
};

struct channels {
	struct loop *loop;
	void *key;
	size_t key_len;
	const struct channel_ops *ops;
	void *data;
	int fd;
	uint64_t refused;
	struct channel *list;
	struct loop_timer *sweep;
};

static void put_be64(uint8_t ret[8], uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		ret[i] = (uint8_t)v;
}

/* ---- an end ---- */

static void channel_free(struct channel *c)
{
	loop_del_fd(c->all->loop, c->fd);
	close(c->fd);
	loop_timer_free(c->silent);
	free(c->in);
	free(c->out);
	free(c);
}

static void sweep(void *data)
{
	struct channels *all = data;
	struct channel **at = &all->list;

	while (*at) {
		struct channel *c = *at;

		if (!c->dead) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		channel_free(c);
	}
}

/* Callers may still look at c: it is freed from the loop. */
static void channel_end(struct channel *c, const char *why)
{
	if (c->dead)
		return;
	c->dead = true;
	loop_del_fd(c->all->loop, c->fd);
	loop_timer_arm(c->all->sweep, 0);
	if (!c->closing)
		c->all->ops->closed(c->all->data, c, why);
}

static void on_silence(void *data)
{
	channel_end(data, "nothing heard for too long");
}

/* ---- out ---- */

static void on_ready(int fd, uint32_t events, void *data);

static void wait_for(struct channel *c, uint32_t events)
{
	if (c->events == events)
		return;
	loop_del_fd(c->all->loop, c->fd);
	c->events = events;
	if (loop_add_fd(c->all->loop, c->fd, events, on_ready, c, NULL) < 0)
		channel_end(c, "epoll refused it");
}

static void flush(struct channel *c)
{
	while (c->off_out < c->n_out) {
		ssize_t n = send(c->fd, c->out + c->off_out, c->n_out - c->off_out, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN || errno == EINPROGRESS)) {
			wait_for(c, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n < 0) {
			channel_end(c, strerror(errno));
			return;
		}
		c->off_out += (size_t)n;
	}
	c->n_out = c->off_out = 0;
	if (c->closing)
		channel_end(c, NULL);
	else
		wait_for(c, EPOLLIN);
}

static void put(struct channel *c, const void *p, size_t n)
{
	if (c->off_out) {
		memmove(c->out, c->out + c->off_out, c->n_out - c->off_out);
		c->n_out -= c->off_out;
		c->off_out = 0;
	}
	c->out = mem_resize(c->out, c->n_out + n, 1);
	memcpy(c->out + c->n_out, p, n);
	c->n_out += n;
}

/* Over head and payload, which are in a row at p. */
static void frame_mac(const struct channel *c, bool ours, const void *p, size_t n,
		      uint8_t ret[MAC_SIZE])
{
	struct frame_id id = {.side = ours == c->opener ? 1 : 2};
	const struct iovec parts[] = {
		{(void *)(uintptr_t)protocol, sizeof(protocol)},
		{&id, sizeof(id)},
		{(void *)(uintptr_t)p, n},
	};

	memcpy(id.opener, c->opener ? c->own : c->other, NONCE);
	memcpy(id.listener, c->opener ? c->other : c->own, NONCE);
	put_be64(id.number, ours ? c->sent : c->seen);
	mac_make(c->all->key, c->all->key_len, parts, 3, ret);
}

int channel_send(struct channel *c, uint8_t type, const void *payload, size_t n)
{
	uint32_t len = htonl((uint32_t)n);
	struct head h = {.type = type};
	uint8_t mac[MAC_SIZE];

	if (c->dead || c->closing)
		return -EPIPE;
	if (n > CHANNEL_MAX_FRAME)
		return -EMSGSIZE;
	if (!c->greeted) /* the other's nonce is part of each mac */
		return -ENOTCONN;
	if (c->n_out - c->off_out + n > MAX_WAITING)
		return -ENOBUFS;
	memcpy(h.len, &len, sizeof(len));
	put(c, &h, sizeof(h));
	put(c, payload, n);
	frame_mac(c, true, c->out + c->n_out - n - sizeof(h), sizeof(h) + n, mac);
	c->sent++;
	put(c, mac, sizeof(mac));
	flush(c);
	return c->dead ? -EPIPE : 0;
}

void channel_close(struct channel *c)
{
	if (c->dead)
		return;
	c->closing = true;
	loop_timer_arm(c->silent, CLOSE_MS);
	flush(c);
}

struct addr channel_peer(const struct channel *c)
{
	return c->peer;
}

bool channel_opened(const struct channel *c)
{
	return c->greeted && !c->dead;
}

bool channel_ours(const struct channel *c)
{
	return c->opener;
}

/* ---- in ---- */

static void channel_refuse(struct channel *c, const char *why)
{
	c->all->refused++;
	channel_end(c, why);
}

static size_t greeting(struct channel *c)
{
	struct hello h;

	if (c->n_in < sizeof(h))
		return 0;
	memcpy(&h, c->in, sizeof(h));
	if (memcmp(h.magic, "SLGW", 4) != 0 || h.version != 1) {
		channel_refuse(c, "it is not a gateway of this version");
		return 0;
	}
	memcpy(c->other, h.nonce, NONCE);
	c->greeted = true;
	c->all->ops->opened(c->all->data, c);
	return sizeof(h);
}

/* The bytes of the frame at p; 0 = not all there, or the channel has ended. */
static size_t frame(struct channel *c, const uint8_t *p, size_t have)
{
	struct head h;
	uint8_t mac[MAC_SIZE];
	uint32_t n;
	int r;

	if (have < sizeof(h))
		return 0;
	memcpy(&h, p, sizeof(h));
	memcpy(&n, h.len, sizeof(n));
	n = ntohl(n);
	if (n > CHANNEL_MAX_FRAME) {
		channel_refuse(c, "a frame that is too long");
		return 0;
	}
	if (have < sizeof(h) + n + MAC_SIZE)
		return 0;
	frame_mac(c, false, p, sizeof(h) + n, mac);
	if (!mac_equal(mac, p + sizeof(h) + n)) {
		channel_refuse(c, "it does not have the same key");
		return 0;
	}
	c->seen++;
	loop_timer_arm(c->silent, CHANNEL_SILENT_MS);
	r = c->all->ops->frame(c->all->data, c, h.type, p + sizeof(h), n);
	if (r < 0)
		channel_end(c, strerror(-r));
	return sizeof(h) + n + MAC_SIZE;
}

static void consume(struct channel *c)
{
	size_t at = 0, step;

	if (!c->greeted)
		at = greeting(c);
	while (c->greeted && !c->dead && !c->closing) {
		step = frame(c, c->in + at, c->n_in - at);
		if (!step)
			break;
		at += step;
	}
	c->n_in -= at;
	memmove(c->in, c->in + at, c->n_in);
}

static void receive(struct channel *c)
{
	ssize_t n;

	c->in = mem_resize(c->in, c->n_in + READ_AT_ONCE, 1);
	n = recv(c->fd, c->in + c->n_in, READ_AT_ONCE, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		channel_end(c, n < 0 ? strerror(errno) : NULL);
		return;
	}
	c->n_in += (size_t)n;
	consume(c);
}

static void on_ready(int fd, uint32_t events, void *data)
{
	struct channel *c = data;

	if (events & EPOLLIN)
		receive(c);
	else if (events & (EPOLLERR | EPOLLHUP)) {
		int error = 0;
		socklen_t len = sizeof(error);

		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
		channel_end(c, error ? strerror(error) : NULL);
	}
	if (!c->dead && events & EPOLLOUT)
		flush(c);
}

/* ---- making them ---- */

static size_t count(const struct channels *all)
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
	r = loop_timer_new(all->loop, on_silence, c, &c->silent, e);
	if (r == 0 && getrandom(c->own, NONCE, 0) != NONCE)
		r = err_sys(e, -errno, "getrandom");
	if (r == 0)
		r = loop_add_fd(all->loop, fd, c->events, on_ready, c, e);
	if (r < 0) {
		channel_free(c);
		return r;
	}
	loop_timer_arm(c->silent, CHANNEL_SILENT_MS);
	memcpy(h.nonce, c->own, NONCE);
	put(c, &h, sizeof(h)); /* sent when the socket can be written to */
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
	if (r == 0)
		(*ret)->peer = to;
	return r;
}

static void on_accept(int listening, uint32_t events, void *data)
{
	struct channels *all = data;
	struct sockaddr_in6 sa = {0};
	socklen_t len = sizeof(sa);
	struct channel *c;
	int fd = accept4(listening, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (count(all) >= CHANNEL_MAX_OPEN) {
		all->refused++;
		close(fd);
		return;
	}
	if (channel_new(all, fd, false, &c, NULL) == 0)
		memcpy(c->peer.b, &sa.sin6_addr, sizeof(c->peer.b));
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
	return loop_add_fd(all->loop, all->fd, EPOLLIN, on_accept, all, e);
}

int channels_new(const struct channels_in *in, struct channels **ret, struct err *e)
{
	struct channels *all = mem_alloc0(sizeof(*all));
	int r;

	*all = (struct channels){
		.loop = in->loop,
		.key = mem_dup(in->key, in->key_len),
		.key_len = in->key_len,
		.ops = in->ops,
		.data = in->data,
		.fd = -1,
	};
	r = loop_timer_new(in->loop, sweep, all, &all->sweep, e);
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
	if (all->fd >= 0) {
		loop_del_fd(all->loop, all->fd);
		close(all->fd);
	}
	free(all->key);
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
