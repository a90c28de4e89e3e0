/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever other gateways, and whoever else reaches the port, say about addresses that move, in
 * any order with what this node does itself and with the time that passes. The input is a list of
 * acts. Bytes come as they are, before and after the greeting, which no tag survives; and in frames
 * under the right key, as from a gateway that went mad. Connections that are made were told, are
 * possible, and are of the address that was taken.
 *
 * The loop, the clock and whom a connection leads to are this file's.
 */
#include "gateway/channel.c"
#include "gateway/channels.c"

#include <sys/syscall.h>
#include <time.h>

#include "base/cleanup.h"
#include "gateway/moves.h"
#include "gateway/moves_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY   "0123456789abcdef"
#define ENDS  8
#define POOL  5 /* addresses */
#define ACTS  200
#define START 1000000

/* ---- the loop and the clock ---- */

struct loop_timer {
	struct loop_timer *next;
	struct loop *loop;
	void (*fn)(void *data);
	void *data;
	int64_t at; /* 0: not armed */
};

struct loop {
	struct loop_timer *timers;
};

static struct loop the_loop;
static struct channels *the_channels;
static struct keyring ring;
static int64_t now_ms; /* libFuzzer asks for another clock */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (!now_ms || id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
	return 0;
}

int loop_add_fd(struct loop *l, int fd, uint32_t events,
		void (*fn)(int fd, uint32_t events, void *data), void *data, struct err *e)
{
	return 0;
}

void loop_del_fd(struct loop *l, int fd)
{
}

int listener_new(const struct listener_in *in, struct listener **ret, struct err *e)
{
	the_channels = in->data;
	*ret = NULL;
	return 0;
}

void listener_free(struct listener *l)
{
}

int loop_timer_new(struct loop *l, void (*fn)(void *data), void *data, struct loop_timer **ret,
		   struct err *e)
{
	struct loop_timer *t = mem_alloc0(sizeof(*t));

	*t = (struct loop_timer){l->timers, l, fn, data, 0};
	*ret = l->timers = t;
	return 0;
}

void loop_timer_arm(struct loop_timer *t, int64_t ms)
{
	t->at = ms < 0 ? 0 : now_ms + ms;
}

void loop_timer_free(struct loop_timer *t)
{
	struct loop_timer **at;

	if (!t)
		return;
	for (at = &t->loop->timers; *at != t; at = &(*at)->next)
		;
	*at = t->next;
	free(t);
}

/* Whatever is due; a timer may take others away. */
static void timers_run(struct loop *l)
{
	for (struct loop_timer *t = l->timers; t;) {
		if (!t->at || t->at > now_ms) {
			t = t->next;
			continue;
		}
		t->at = 0;
		t->fn(t->data);
		t = l->timers;
	}
}

/* ---- the other ends ---- */

/* A connection leads to a socket of ours. */
static int connected;

int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	dup2(pair[0], fd);
	close(pair[0]);
	close(connected);
	connected = pair[1];
	return 0;
}

struct end {
	struct channel *c;
	int fd; /* of who is at the other side; -1: none */
} ends[ENDS];

static bool alive(const struct channel *c)
{
	for (const struct channel *k = the_channels->list; k; k = k->next)
		if (k == c)
			return !k->dead;
	return false;
}

static void end_close(struct end *k)
{
	if (k->fd >= 0)
		close(k->fd);
	*k = (struct end){.fd = -1};
}

/* Reads what was sent to it, and says n bytes. */
static void end_say(struct end *k, const void *bytes, size_t n)
{
	char heard[4096];

	if (!alive(k->c)) {
		end_close(k);
		return;
	}
	while (recv(k->fd, heard, sizeof(heard), MSG_DONTWAIT) > 0)
		;
	if (send(k->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		channel_on_ready(k->c->fd, EPOLLIN, k->c);
	timers_run(&the_loop);
}

/* Who was there hangs up. */
static struct end *end_free(unsigned int which)
{
	struct end *k = &ends[which % ENDS];
	struct channel *c = k->c;

	end_close(k);
	if (alive(c))
		channel_on_ready(c->fd, EPOLLIN, c);
	timers_run(&the_loop);
	return k;
}

static void end_greet(struct end *k)
{
	struct hello h = {.magic = "SLGW", .version = 1, .nonce = {7}};

	if (alive(k->c) && !k->c->greeted)
		end_say(k, &h, sizeof(h));
}

/* Somebody connects. */
static void end_accept(unsigned int which)
{
	struct end *k = end_free(which);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	k->fd = pair[1];
	if (channel_new(the_channels, pair[0], false, &k->c, NULL) < 0)
		abort();
}

/* We have connected. */
static void end_take(unsigned int which)
{
	struct channel *c;
	struct end *k;
	int fd;

	if (connected < 0)
		return;
	fd = connected;
	connected = -1;
	c = the_channels->list;
	k = end_free(which);
	*k = (struct end){c, fd};
}

static void end_frame(struct end *k, uint8_t type, const void *payload, size_t n)
{
	__cleanup_free uint8_t *buf = mem_alloc0(sizeof(struct head) + n + MAC_SIZE);
	struct head h = {.type = type};
	uint32_t len = htonl((uint32_t)n);

	if (!alive(k->c))
		return;
	memcpy(h.len, &len, sizeof(len));
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), payload, n);
	frame_mac(k->c, &ring.keys[0].key, false, &(struct iovec){buf, sizeof(h) + n},
		  buf + sizeof(h) + n);
	end_say(k, buf, sizeof(h) + n + MAC_SIZE);
}

/* ---- this node ---- */

static struct addr pool(unsigned int which)
{
	static const char *const texts[POOL] = {"203.0.113.10", "203.0.113.11", "203.0.113.12",
						"2001:db8::10", "::"};
	struct addr a;

	addr_parse(texts[which % POOL], &a);
	return a;
}

static struct move_flow flow_of(uint8_t a, uint8_t b)
{
	struct move_flow f = {
		.seen = pool(a),
		.sport = b,
		.dport = 443,
		.seen_port = (uint16_t)(1024 + b),
		.proto = b & 1 ? IPPROTO_TCP : IPPROTO_UDP,
		.timeout = 600,
		.answered = b & 2,
	};

	addr_parse(addr_is_v4(f.seen) ? "10.244.1.5" : "fd00::5", &f.src);
	addr_parse(addr_is_v4(f.seen) ? "198.51.100.7" : "2001:db8:7::7", &f.dst);
	return f;
}

static int our_list(void *data, const struct addr *addrs, size_t n, struct move_flow **ret,
		    size_t *ret_n)
{
	*ret = mem_alloc0(3 * sizeof(**ret));
	for (size_t i = 0; i < 3; i++)
		(*ret)[i] = flow_of((uint8_t)n, (uint8_t)i);
	*ret_n = 3;
	return 0;
}

static void our_make(void *data, const struct move_flow *flows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t wire[MOVE_FLOW_SIZE];
		struct move_flow again;

		move_flow_put(&flows[i], wire);
		if (!move_flow_get(wire, &again) || memcmp(&again, &flows[i], sizeof(again)) != 0)
			abort();
		if (!addr_eq(flows[i].seen, flows[0].seen))
			abort();
	}
}

static void our_forget(void *data, const struct addr *addrs, size_t n)
{
	if (n == 0)
		abort();
}

static void our_changed(void *data)
{
}

static const struct moves_ops ops = {
	.list = our_list, .make = our_make, .forget = our_forget, .changed = our_changed};

/* ---- acts ---- */

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

static const uint8_t *take_bytes(struct input *in, size_t *n)
{
	const uint8_t *p = in->data;

	if (*n > in->left)
		*n = in->left;
	in->data += *n;
	in->left -= *n;
	return p;
}

/* Connections as they should be, with a byte of them changed. */
static void say_flows(struct end *k, struct input *in)
{
	size_t n = take(in) % 40;
	uint8_t wire[40 * MOVE_FLOW_SIZE + 1] = {0}, at = take(in), value = take(in), which;

	which = take(in);
	for (size_t i = 0; i < n; i++) {
		struct move_flow f = flow_of(which, (uint8_t)i);

		move_flow_put(&f, wire + i * MOVE_FLOW_SIZE);
	}
	if (at % 4 == 1)
		wire[at % MOVE_FLOW_SIZE] = value;
	end_frame(k, FRAME_FLOWS, wire, n * MOVE_FLOW_SIZE + (at == 255));
}

static void say_addrs(struct end *k, struct input *in)
{
	struct addr addrs[8];
	uint8_t type = take(in), which = take(in);
	size_t n = take(in) % 8;

	for (size_t i = 0; i < n; i++)
		addrs[i] = pool(which + (unsigned int)i);
	end_frame(k, FRAME_READY + type % 3, addrs, n * sizeof(*addrs));
}

static void do_ours(struct moves *m, uint8_t what, uint8_t which)
{
	struct addr to;

	addr_parse(which & 64 ? "172.31.7.12" : "172.31.7.11", &to);
	switch (what % 5) {
	case 0:
		moves_leaving(m, pool(which), to);
		end_take(which >> 4);
		break;
	case 1:
		moves_let(m, pool(which));
		break;
	case 2:
		if (moves_coming(m, pool(which), which & 32) == MOVE_TAKE)
			moves_taken(m, pool(which));
		break;
	case 3:
		moves_taken(m, pool(which));
		break;
	default:
		moves_drop(m, pool(which));
	}
	timers_run(&the_loop);
}

static void act(struct moves *m, struct input *in)
{
	uint8_t what = take(in);
	struct end *k = &ends[take(in) % ENDS];
	const uint8_t *bytes;
	size_t n;

	switch (what % 9) {
	case 0:
		end_accept((unsigned int)(k - ends));
		end_greet(k);
		break;
	case 1:
		end_accept((unsigned int)(k - ends));
		break;
	case 2:
		end_greet(k);
		break;
	case 3:
		n = take(in);
		bytes = take_bytes(in, &n);
		end_say(k, bytes, n);
		break;
	case 4:
		n = take(in);
		bytes = take_bytes(in, &n);
		end_frame(k, take(in), bytes, n);
		break;
	case 5:
		say_flows(k, in);
		break;
	case 6:
		say_addrs(k, in);
		break;
	case 7:
		do_ours(m, take(in), take(in));
		break;
	default:
		now_ms += take(in) * 100;
		timers_run(&the_loop);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct moves_in conf = {.loop = &the_loop, .keys.ring = &ring, .ops = &ops};
	struct input in = {data, size};
	struct moves *m = NULL;

	ring.n = 0;
	keyring_add(&ring, KEY, sizeof(KEY) - 1);
	now_ms = START;
	connected = -1;
	for (size_t i = 0; i < ENDS; i++)
		ends[i].fd = -1;
	if (moves_new(&conf, &m, NULL) < 0)
		abort();
	for (int i = 0; i < ACTS && in.left; i++)
		act(m, &in);
	moves_free(m);
	for (size_t i = 0; i < ENDS; i++)
		end_close(&ends[i]);
	close(connected);
	if (the_loop.timers)
		abort();
	now_ms = 0;
	return 0;
}
