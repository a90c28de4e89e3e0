/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/channel_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/mac.h"

#define MAX_WAITING  (16u << 20)
#define CLOSE_MS     1000
#define READ_AT_ONCE 65536
#define KEY_GONE     "its key is not good any more"

static const char protocol[] = "sluice gateway channel 1";

struct head {
	uint8_t len[4], type, pad[3];
};

/* What goes into a mac before head and payload. */
struct frame_id {
	uint8_t side, pad[7];
	uint8_t opener[CHANNEL_NONCE], listener[CHANNEL_NONCE];
	uint8_t number[8];
};

static void put_be64(uint8_t ret[8], uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		ret[i] = (uint8_t)v;
}

/* ---- an end ---- */

void channel_free(struct channel *c)
{
	loop_del_fd(c->all->loop, c->fd);
	close(c->fd);
	loop_timer_free(c->silent);
	free(c->in);
	free(c->out);
	free(c);
}

void channels_on_sweep(void *data)
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

void channel_refuse(struct channel *c, const char *why)
{
	c->all->refused++;
	channel_end(c, why);
}

void channel_on_silence(void *data)
{
	struct channel *c = data;
	int waiting = 0;

	/* who was held up itself calls nobody late */
	if (!c->late && ioctl(c->fd, FIONREAD, &waiting) == 0 && waiting) {
		c->late = true;
		loop_timer_arm(c->silent, CHANNEL_PROVE_MS);
		return;
	}
	if (c->opener || c->proven)
		channel_end(c, "nothing heard for too long");
	else
		channel_refuse(c, "it has shown no key");
}

/* ---- out ---- */

static void wait_for(struct channel *c, uint32_t events)
{
	if (c->events == events)
		return;
	loop_del_fd(c->all->loop, c->fd);
	c->events = events;
	if (loop_add_fd(c->all->loop, c->fd, events, channel_on_ready, c, NULL) < 0)
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

void channel_put(struct channel *c, const void *p, size_t n)
{
	if (c->off_out) {
		memmove(c->out, c->out + c->off_out, c->n_out - c->off_out);
		c->n_out -= c->off_out;
		c->off_out = 0;
	}
	if (!n)
		return;
	c->out = mem_resize(c->out, c->n_out + n, 1);
	memcpy(c->out + c->n_out, p, n);
	c->n_out += n;
}

/* Over head and payload, which are in a row at p. */
static void frame_mac(const struct channel *c, const struct heartbeat_key *key, bool ours,
		      const struct iovec *frame, uint8_t ret[MAC_SIZE])
{
	struct frame_id id = {.side = ours == c->opener ? 1 : 2};
	const struct iovec parts[] = {
		{(void *)(uintptr_t)protocol, sizeof(protocol)},
		{&id, sizeof(id)},
		*frame,
	};

	memcpy(id.opener, c->opener ? c->own : c->other, CHANNEL_NONCE);
	memcpy(id.listener, c->opener ? c->other : c->own, CHANNEL_NONCE);
	put_be64(id.number, ours ? c->sent : c->seen);
	mac_make(key->bytes, key->len, parts, 3, ret);
}

/* Under which this side speaks. NULL: the key of this channel is not good any more. */
static const struct heartbeat_key *key_out(const struct channel *c)
{
	const struct keyring *ring = c->all->keys.ring;
	const struct keyring_key *k = c->key ? keyring_find(ring, c->key) : &ring->keys[0];

	return k ? &k->key : NULL;
}

int channel_send(struct channel *c, uint8_t type, const void *payload, size_t n)
{
	const struct heartbeat_key *key = key_out(c);
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
	if (!key) {
		channel_end(c, KEY_GONE);
		return -EPIPE;
	}
	memcpy(h.len, &len, sizeof(len));
	channel_put(c, &h, sizeof(h));
	channel_put(c, payload, n);
	frame_mac(c, key, true, &(struct iovec){c->out + c->n_out - n - sizeof(h), sizeof(h) + n},
		  mac);
	c->sent++;
	channel_put(c, mac, sizeof(mac));
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
	memcpy(c->other, h.nonce, CHANNEL_NONCE);
	c->greeted = true;
	c->all->ops->opened(c->all->data, c);
	return sizeof(h);
}

/* Who opened it goes on under the key with which it began; what is heard first says which. */
static bool authentic(struct channel *c, const uint8_t *p, size_t n)
{
	const struct keyring *ring = c->all->keys.ring;

	for (size_t i = 0; i < ring->n; i++) {
		const struct keyring_key *k = &ring->keys[i];
		uint8_t mac[MAC_SIZE];

		if (c->key && c->key != k->id)
			continue;
		frame_mac(c, &k->key, false, &(struct iovec){(void *)(uintptr_t)p, n}, mac);
		if (mac_equal(mac, p + n)) {
			c->key = k->id;
			c->proven = true;
			return true;
		}
	}
	return false;
}

/* The bytes of the frame at p; 0 = not all there, or the channel has ended. */
static size_t frame(struct channel *c, const uint8_t *p, size_t have)
{
	struct head h;
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
	if (!authentic(c, p, sizeof(h) + n)) {
		channel_refuse(c, key_out(c) ? "it does not have the same key" : KEY_GONE);
		return 0;
	}
	c->seen++;
	c->late = false;
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
	if (c->closing) /* what is still heard changes nothing */
		return;
	c->n_in += (size_t)n;
	consume(c);
}

void channel_on_ready(int fd, uint32_t events, void *data)
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
