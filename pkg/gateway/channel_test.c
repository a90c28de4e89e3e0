/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "testkit/gateway_fixture.h"

#define LIMIT_MS 30000

/* One side: what it was told. */
struct side {
	struct loop *loop;
	struct keyring ring;
	uint64_t heard; /* the id of the key that the other one was heard under */
	struct channels *all;
	struct channel *c; /* the last that opened */
	size_t opened, frames, closed, bytes;
	uint8_t last;
	char why[128];
	size_t until_frames, until_closed; /* the loop ends then; 0: never */
	const char *greet;		   /* sent when it opens */
	size_t greet_times;
};

static void side_look(struct side *s)
{
	if ((s->until_frames && s->frames >= s->until_frames) ||
	    (s->until_closed && s->closed >= s->until_closed))
		loop_quit(s->loop);
}

static void on_opened(void *data, struct channel *c)
{
	struct side *s = data;

	s->c = c;
	s->opened++;
	for (size_t i = 0; i < s->greet_times; i++)
		assert_int_equal(channel_send(c, 7, s->greet, strlen(s->greet)), 0);
}

static int on_frame(void *data, struct channel *c, uint8_t type, const void *payload, size_t n)
{
	struct side *s = data;

	s->frames++;
	s->bytes += n;
	s->last = type;
	side_look(s);
	return type == 99 ? -EPROTO : 0;
}

static void on_closed(void *data, struct channel *c, const char *why)
{
	struct side *s = data;

	s->closed++;
	strncpy(s->why, why ? why : "the other side", sizeof(s->why) - 1);
	side_look(s);
}

static const struct channel_ops ops = {on_opened, on_frame, on_closed};

struct world {
	struct loop *loop;
	struct loop_timer *limit;
	struct side a, b;
};

static void on_limit(void *data)
{
	loop_quit(data);
	fail_msg("nothing happened for %d ms", LIMIT_MS);
}

static struct addr home(void)
{
	struct addr a;

	addr_parse("127.0.0.1", &a);
	return a;
}

static uint64_t heard_under(void *data, struct addr peer)
{
	return addr_eq(peer, home()) ? ((struct side *)data)->heard : 0;
}

static void side_start(struct world *w, struct side *s, const char *key)
{
	struct channels_in in = {
		.loop = w->loop, .keys = {&s->ring, heard_under, s}, .ops = &ops, .data = s};
	struct err e = {0};

	s->loop = w->loop;
	s->ring = gateway_ring(key);
	assert_int_equal(channels_new(&in, &s->all, &e), 0);
}

static void world_start(struct world *w, const char *key_a, const char *key_b)
{
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_limit, w->loop, &w->limit, NULL), 0);
	side_start(w, &w->a, key_a);
	side_start(w, &w->b, key_b);
}

static void world_run(struct world *w)
{
	loop_timer_arm(w->limit, LIMIT_MS);
	assert_int_equal(loop_run(w->loop, NULL), 0);
}

static void moment(struct world *w)
{
	struct loop_timer *t;

	assert_int_equal(loop_timer_new(w->loop, (void (*)(void *))loop_quit, w->loop, &t, NULL),
			 0);
	loop_timer_arm(t, 1);
	world_run(w);
	loop_timer_free(t);
}

static void world_end(struct world *w)
{
	channels_free(w->a.all);
	channels_free(w->b.all);
	loop_timer_free(w->limit);
	loop_free(w->loop);
}

static void open_towards_b(struct world *w)
{
	struct channel *c;

	assert_int_equal(channel_open(w->a.all, home(), channels_port(w->b.all), &c, NULL), 0);
	assert_int_equal(channel_send(c, 1, "x", 1), -ENOTCONN);
}

static void says_what_it_was_given_in_order(void **state)
{
	struct world w = {.a = {.greet = "hello", .greet_times = 3}, .b = {.until_frames = 3}};

	world_start(&w, GATEWAY_KEY, GATEWAY_KEY);
	open_towards_b(&w);
	world_run(&w);
	assert_int_equal(w.b.bytes, 15);
	assert_int_equal(w.b.last, 7);
	assert_string_equal(addr_str(channel_peer(w.b.c)), "127.0.0.1");
	assert_false(channel_ours(w.b.c));
	world_end(&w);
}

static void carries_more_than_a_socket_holds(void **state)
{
	char *big = mem_alloc0(CHANNEL_MAX_FRAME);
	struct world w = {.a = {.greet = big, .greet_times = 200}, .b = {.until_frames = 200}};

	memset(big, 'x', CHANNEL_MAX_FRAME - 1);
	world_start(&w, GATEWAY_KEY, GATEWAY_KEY);
	open_towards_b(&w);
	world_run(&w);
	assert_int_equal(w.b.bytes, 200 * (CHANNEL_MAX_FRAME - 1));
	world_end(&w);
	free(big);
}

static void refuses_who_has_another_key(void **state)
{
	struct world w = {.a = {.greet = "hello", .greet_times = 1}, .b = {.until_closed = 1}};

	world_start(&w, GATEWAY_KEY, "another key, and a long one");
	open_towards_b(&w);
	world_run(&w);
	assert_int_equal(w.b.frames, 0);
	assert_int_equal(channels_refused(w.b.all), 1);
	assert_non_null(strstr(w.b.why, "same key"));
	world_end(&w);
}

#define NEW_KEY "the key of this year"

/* Which of the two has changed its file first does not matter, nor who speaks first. */
static void two_of_which_one_has_another_key_by_now_understand_each_other(void **state)
{
	static const char *const files[][2] = {
		{GATEWAY_KEY, NEW_KEY "\n" GATEWAY_KEY},
		{NEW_KEY "\n" GATEWAY_KEY, GATEWAY_KEY},
		{GATEWAY_KEY "\n" NEW_KEY, NEW_KEY "\n" GATEWAY_KEY},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct world w = {.a = {.greet = "hello", .greet_times = 3, .until_frames = 1},
				  .b = {.until_frames = 3}};

		world_start(&w, files[i][0], files[i][1]);
		w.a.heard = gateway_ring(files[i][1]).keys[0].id; /* it may be one that a lacks */
		if (!keyring_find(&w.a.ring, w.a.heard) || i == 1)
			w.a.heard = gateway_ring(GATEWAY_KEY).keys[0].id;
		open_towards_b(&w);
		world_run(&w);
		assert_int_equal(channel_send(w.b.c, 7, "x", 1), 0);
		world_run(&w);
		assert_int_equal(w.b.frames, 3);
		assert_int_equal(channels_refused(w.a.all) + channels_refused(w.b.all), 0);
		world_end(&w);
	}
}

static void a_channel_ends_with_its_key(void **state)
{
	struct world w = {.a = {.greet = "hello", .greet_times = 1}, .b = {.until_frames = 1}};

	world_start(&w, GATEWAY_KEY, GATEWAY_KEY);
	open_towards_b(&w);
	world_run(&w);
	w.a.ring = w.b.ring = gateway_ring(NEW_KEY);
	w.a.until_closed = 1;
	assert_int_equal(channel_send(w.b.c, 7, "x", 1), -EPIPE);
	assert_non_null(strstr(w.b.why, "not good any more"));
	world_run(&w);
	w.b.until_frames = 2;
	w.a.until_closed = 0;
	open_towards_b(&w);
	world_run(&w);
	world_end(&w);
}

static void a_frame_that_is_not_liked_ends_it(void **state)
{
	struct world w = {.b = {.until_frames = 1}, .a = {.until_closed = 1}};

	world_start(&w, GATEWAY_KEY, GATEWAY_KEY);
	w.a.greet = "x";
	w.a.greet_times = 0;
	open_towards_b(&w);
	w.b.until_frames = 0;
	while (!w.a.opened || !w.b.opened)
		moment(&w);
	assert_int_equal(channel_send(w.a.c, 99, "x", 1), 0);
	world_run(&w);
	assert_int_equal(w.b.frames, 1);
	assert_int_equal(w.b.closed, 1);
	world_end(&w);
}

/* ---- a stranger ---- */

static int stranger(struct world *w, const void *bytes, size_t n)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(channels_port(w->b.all)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
	return fd;
}

static void cuts_off_garbage_and_frames_that_are_too_long(void **state)
{
	static const char noise[64] = "GET / HTTP/1.1\r\n";
	char long_one[32] = "SLGW\1";
	struct world w = {.b = {.until_closed = 1}};
	int fd;

	world_start(&w, GATEWAY_KEY, GATEWAY_KEY);
	fd = stranger(&w, noise, sizeof(noise));
	world_run(&w);
	assert_non_null(strstr(w.b.why, "not a gateway"));
	close(fd);
	memset(long_one + 24, 0xff, 4);
	fd = stranger(&w, long_one, sizeof(long_one));
	w.b.until_closed = 2;
	world_run(&w);
	assert_non_null(strstr(w.b.why, "too long"));
	assert_int_equal(channels_refused(w.b.all), 2);
	assert_int_equal(w.b.frames, 0);
	close(fd);
	world_end(&w);
}

/* From another address of this machine, so that it is not from where the other gateway is. */
static int silent_one(struct world *w, uint8_t last)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(0x7f000100u | last)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sa.sin_port = htons(channels_port(w->b.all));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* They come all the time, from one address or from many, whether or not the gateway is known. */
static void strangers_take_no_place_from_a_gateway(void **state)
{
	for (int i = 0; i < 4; i++) {
		bool known = i & 1, many = i & 2;
		struct world w = {.a = {.greet = "hello", .greet_times = 1}};
		int fds[100];
		size_t n = sizeof(fds) / sizeof(fds[0]);

		world_start(&w, GATEWAY_KEY, GATEWAY_KEY);
		w.b.heard = known;
		for (size_t k = 0; k < n; k++) {
			fds[k] = silent_one(&w, many ? (uint8_t)(1 + k) : 1);
			while (channels_open(w.b.all) + w.b.closed <= k)
				moment(&w);
		}
		assert_int_equal(channels_open(w.b.all),
				 many ? CHANNEL_STRANGERS : CHANNEL_UNPROVEN);
		assert_int_equal(channels_refused(w.b.all), n - channels_open(w.b.all));
		open_towards_b(&w);
		w.b.until_frames = 1;
		world_run(&w);
		if (i == 0) { /* those that are left have not as long as a gateway may be silent */
			w.b.until_frames = 0;
			w.b.until_closed = n;
			world_run(&w);
			assert_int_equal(channels_open(w.b.all), 1);
			assert_int_equal(channels_refused(w.b.all), n);
		}
		for (size_t k = 0; k < n; k++)
			close(fds[k]);
		world_end(&w);
	}
}

/* Between the two: passes on what A says, keeps it, and says it again to B. */
static void what_was_said_before_is_nothing_when_said_again(void **state)
{
	struct world w = {.a = {.greet = "hello", .greet_times = 1}, .b = {.until_closed = 1}};
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), from_a, to_b;
	char said[256];
	struct channel *c;
	ssize_t n = 0, part;

	world_start(&w, GATEWAY_KEY, GATEWAY_KEY);
	assert_int_equal(bind(listening, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listening, 1), 0);
	getsockname(listening, (struct sockaddr *)&sa, &len);
	assert_int_equal(channel_open(w.a.all, home(), ntohs(sa.sin_port), &c, NULL), 0);
	from_a = accept(listening, NULL, NULL);
	/* B's greeting of one channel, and what A said to it … */
	send(from_a, "SLGW\1\0\0\0nnnnnnnnnnnnnnnn", 24, MSG_NOSIGNAL);
	w.a.until_closed = 1;
	while (w.a.opened == 0)
		moment(&w);
	while (n < 24 + 8 + 5 + 16) {
		part = recv(from_a, said + n, sizeof(said) - (size_t)n, 0);
		assert_true(part > 0);
		n += part;
	}
	/* … is worth nothing in another */
	to_b = stranger(&w, said, (size_t)n);
	w.a.until_closed = 0;
	world_run(&w);
	assert_int_equal(w.b.frames, 0);
	assert_non_null(strstr(w.b.why, "same key"));
	close(to_b);
	close(from_a);
	close(listening);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_it_was_given_in_order),
		cmocka_unit_test(carries_more_than_a_socket_holds),
		cmocka_unit_test(refuses_who_has_another_key),
		cmocka_unit_test(two_of_which_one_has_another_key_by_now_understand_each_other),
		cmocka_unit_test(a_channel_ends_with_its_key),
		cmocka_unit_test(a_frame_that_is_not_liked_ends_it),
		cmocka_unit_test(cuts_off_garbage_and_frames_that_are_too_long),
		cmocka_unit_test(strangers_take_no_place_from_a_gateway),
		cmocka_unit_test(what_was_said_before_is_nothing_when_said_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
