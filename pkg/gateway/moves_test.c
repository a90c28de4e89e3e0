/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/moves.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/moves_wire.h"
#include "testkit/addr_fixture.h"
#include "testkit/gateway_fixture.h"

#define A	 addr_of
#define LIMIT_MS 30000

/* A gateway: a pass asks for the one address of these tests. */
struct gw {
	struct loop *loop;
	struct keyring ring;
	struct moves *m;
	struct moves_counts counts;
	struct addr addr, peer;
	bool leaves, comes; /* what it is asked in a pass */
	bool has;	    /* the address is on its interface */
	bool probed;
	size_t own;    /* connections it has */
	uint16_t port; /* of the last that was made */
	size_t forgotten, passes;
	bool late;	      /* one more begins between the two lists */
	bool deaf;	      /* does not pass */
	bool of_joining;      /* who has it joins */
	size_t twice, single; /* times that it was said to be had twice, and not any more */
};

static int gw_list(void *data, const struct addr *addrs, size_t n, struct move_flow **ret,
		   size_t *ret_n)
{
	struct gw *g = data;

	*ret = mem_alloc0((g->own + 1) * sizeof(**ret));
	for (size_t i = 0; i < g->own; i++)
		(*ret)[i] = gateway_flow(addr_str(addrs[0]), (uint16_t)(1000 + i));
	*ret_n = g->own;
	g->own += g->late;
	g->late = false;
	return 0;
}

static void gw_make(void *data, const struct move_flow *flows, size_t n)
{
	struct gw *g = data;

	for (size_t i = 0; i < n; i++) {
		struct move_flow want = gateway_flow("203.0.113.10", flows[i].sport);

		assert_memory_equal(&flows[i], &want, sizeof(want));
		g->port = flows[i].sport;
	}
	if (g->own < n)
		g->own = n;
}

static void gw_forget(void *data, const struct addr *addrs, size_t n)
{
	struct gw *g = data;

	assert_int_equal(n, 1);
	g->forgotten++;
}

static void gw_pass(void *data)
{
	struct gw *g = data;
	bool had = g->has;

	g->passes++;
	if (g->leaves) {
		enum move_leaving how = moves_leaving(g->m, g->addr, g->peer);

		g->has = how == MOVE_KEEP;
		if (how == MOVE_LET)
			moves_let(g->m, g->addr);
	} else if (g->comes && !g->has && !g->deaf) {
		enum move_coming how = g->of_joining ? moves_coming_joining(g->m, g->addr)
						     : moves_coming(g->m, g->addr, true);

		g->probed = how == MOVE_PROBE;
		g->has = how != MOVE_WAIT;
	}
	if (g->has && !g->leaves && !g->deaf)
		moves_taken(g->m, g->addr);
	if (g->probed || (g->leaves && had && !g->has && g->deaf))
		loop_quit(g->loop);
}

static void gw_twice(void *data, struct addr a, struct addr from, bool twice)
{
	struct gw *g = data;

	assert_true(addr_eq(a, g->addr));
	assert_true(addr_eq(from, A("127.0.0.1")));
	*(twice ? &g->twice : &g->single) += 1;
}

static const struct moves_ops ops = {gw_list, gw_make, gw_forget, gw_pass, gw_twice};

struct world {
	struct loop *loop;
	struct loop_timer *limit;
	struct gw old, new;
};

static void on_limit(void *data)
{
	loop_quit(data);
	fail_msg("nothing happened for %d ms", LIMIT_MS);
}

static void gw_start(struct world *w, struct gw *g, const char *key, uint16_t peer_port)
{
	const struct moves_in in = {.loop = w->loop,
				    .keys.ring = &g->ring,
				    .peer_port = peer_port,
				    .ops = &ops,
				    .counts = &g->counts,
				    .data = g};
	struct err e = {0};

	g->loop = w->loop;
	g->ring = gateway_ring(key);
	g->addr = A("203.0.113.10");
	g->peer = A("127.0.0.1");
	assert_int_equal(moves_new(&in, &g->m, &e), 0);
}

static void world_start(struct world *w, const char *key)
{
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_limit, w->loop, &w->limit, NULL), 0);
	gw_start(w, &w->new, key, 0);
	gw_start(w, &w->old, GATEWAY_KEY, channels_port(moves_channels(w->new.m)));
	w->old.has = w->old.leaves = true;
}

static void world_run(struct world *w)
{
	loop_timer_arm(w->limit, LIMIT_MS);
	assert_int_equal(loop_run(w->loop, NULL), 0);
}

static void world_end(struct world *w)
{
	moves_free(w->old.m);
	moves_free(w->new.m);
	loop_timer_free(w->limit);
	loop_free(w->loop);
}

/* Runs for a moment. */
static void world_turn(struct world *w)
{
	struct loop_timer *t;

	assert_int_equal(loop_timer_new(w->loop, (void (*)(void *))loop_quit, w->loop, &t, NULL),
			 0);
	loop_timer_arm(t, 5);
	world_run(w);
	loop_timer_free(t);
}

/* Runs until the new one was told, however long that takes. */
static void run_until_told(struct world *w, size_t passes)
{
	for (int i = 0; i < LIMIT_MS / 5 && w->new.passes < passes; i++)
		world_turn(w);
	assert_int_equal(w->new.passes, passes);
}

/* Until the old one has let go, and the new one has its last word. */
static void run_until_moved(struct world *w)
{
	for (int i = 0; i < LIMIT_MS / 5 && (w->old.has || !w->new.counts.came); i++)
		world_turn(w);
	assert_true(w->new.has && !w->new.probed && !w->old.has);
}

static void an_address_moves_with_its_connections(void **state)
{
	struct world w = {.old = {.own = 3000, .late = true}, .new = {.comes = true, .own = 7}};

	world_start(&w, GATEWAY_KEY);
	gw_pass(&w.new);
	assert_false(w.new.has);
	gw_pass(&w.old);
	assert_true(w.old.has);
	run_until_moved(&w);
	assert_int_equal(w.new.own, 3001);
	assert_int_equal(w.new.port, 1000 + 3000);
	assert_int_equal(w.new.forgotten, 1);
	assert_int_equal(w.old.counts.left, 1);
	assert_int_equal(w.old.counts.left_alone, 0);
	assert_int_equal(w.new.counts.came, 1);
	assert_int_equal(w.new.counts.came_alone, 0);
	world_end(&w);
}

static void it_does_not_matter_who_learns_first(void **state)
{
	struct world w = {.old = {.own = 5}, .new = {.comes = true, .deaf = true}};

	world_start(&w, GATEWAY_KEY);
	w.old.deaf = false;
	gw_pass(&w.old);
	/* what is told before anybody asks is kept */
	run_until_told(&w, 1);
	assert_true(w.old.has);
	w.new.deaf = false;
	gw_pass(&w.new);
	assert_true(w.new.has);
	run_until_moved(&w);
	assert_int_equal(w.new.own, 5);
	world_end(&w);
}

static void a_move_that_was_called_off_leaves_nothing_behind(void **state)
{
	struct world w = {.old = {.own = 5}, .new = {.comes = true, .deaf = true}};

	world_start(&w, GATEWAY_KEY);
	gw_pass(&w.old);
	run_until_told(&w, 1);
	assert_int_equal(moves_coming(w.new.m, w.new.addr, true), MOVE_TAKE);
	/* an edit: it is to stay where it is, on both sides */
	moves_settle(w.old.m, w.old.addr, true);
	moves_settle(w.new.m, w.new.addr, false);
	/* and then it is to move after all: it is told anew before it is taken */
	assert_int_equal(moves_coming(w.new.m, w.new.addr, true), MOVE_WAIT);
	gw_pass(&w.old);
	assert_true(w.old.has);
	run_until_told(&w, 2);
	w.new.deaf = false;
	gw_pass(&w.new);
	run_until_moved(&w);
	world_end(&w);
}

static void nobody_waits_for_ever_for_who_is_silent(void **state)
{
	struct world w = {.new = {.comes = true}};

	world_start(&w, GATEWAY_KEY);
	gw_pass(&w.new);
	world_run(&w);
	assert_true(w.new.has &&w.new.probed);
	world_end(&w);
}

/* Two that did not hear each other have taken the same. */
static void who_has_it_already_takes_the_connections_and_says_so(void **state)
{
	struct world w = {.old = {.own = 5}, .new = {.has = true, .own = 2}};

	world_start(&w, GATEWAY_KEY);
	gw_pass(&w.old);
	run_until_moved(&w);
	assert_int_equal(w.new.own, 5);
	assert_int_equal(w.new.forgotten, 0); /* its own are in use */
	assert_int_equal(w.old.counts.left, 1);
	assert_int_equal(w.old.counts.left_alone, 0);
	assert_int_equal(w.new.twice, 1);
	assert_int_equal(w.new.single, 1); /* settled */
	assert_int_equal(w.old.twice + w.old.single, 0);
	world_end(&w);
}

static void two_had_it_until_the_last_word_of_who_lets_go(void **state)
{
	struct world w = {.old = {.own = 5}, .new = {.has = true, .deaf = true}};

	world_start(&w, GATEWAY_KEY);
	gw_pass(&w.old);
	run_until_told(&w, 1);
	assert_int_equal(w.new.twice, 0);
	moves_taken(w.new.m, w.new.addr);
	assert_int_equal(w.new.twice, 1);
	assert_int_equal(w.new.single, 0);
	moves_taken(w.new.m, w.new.addr); /* in each pass */
	assert_int_equal(w.new.twice, 1);
	run_until_moved(&w);
	assert_int_equal(w.new.single, 1);
	world_end(&w);
}

/* It had not heard yet that the other one has it, and still has it itself. */
static void who_is_started_anew_as_it_lets_go_is_answered_again(void **state)
{
	struct world w = {.new = {.comes = true, .deaf = true}};
	uint16_t port;
	int64_t anew;

	world_start(&w, GATEWAY_KEY);
	port = channels_port(moves_channels(w.new.m));
	gw_pass(&w.old);
	run_until_told(&w, 1);
	w.new.deaf = false;
	gw_pass(&w.new);
	assert_true(w.new.has &&w.old.has);
	moves_free(w.old.m);
	world_turn(&w);
	gw_start(&w, &w.old, GATEWAY_KEY, port);
	anew = clock_ms();
	gw_pass(&w.old);
	assert_true(w.old.has);
	run_until_moved(&w);
	assert_true(clock_ms() - anew < MOVE_LEAVE_MS / 2);
	assert_int_equal(w.old.counts.left, 1);
	assert_int_equal(w.old.counts.left_alone, 0);
	world_end(&w);
}

/* Who has it was away, and is LIVE again in a moment: then it keeps it. */
static void who_joins_is_taken_at_its_word_after_a_while(void **state)
{
	struct world w = {.old = {.own = 5}, .new = {.deaf = true, .of_joining = true}};
	int64_t told_at;

	world_start(&w, GATEWAY_KEY);
	assert_int_equal(moves_coming_joining(w.new.m, w.new.addr), MOVE_PROBE);
	gw_pass(&w.old);
	run_until_told(&w, 1);
	told_at = clock_ms();
	w.new.comes = true;
	w.new.deaf = false;
	gw_pass(&w.new);
	assert_false(w.new.has);
	run_until_moved(&w);
	assert_true(clock_ms() - told_at >= MOVE_PATIENCE_MS);
	assert_int_equal(w.new.own, 5);
	assert_int_equal(w.new.twice, 0);
	assert_int_equal(w.old.counts.left, 1);
	assert_int_equal(w.old.counts.left_alone, 0);
	world_end(&w);
}

static void who_joins_and_keeps_it_has_told_nothing(void **state)
{
	struct world w = {.old = {.own = 5}, .new = {.deaf = true}};

	world_start(&w, GATEWAY_KEY);
	gw_pass(&w.old);
	run_until_told(&w, 1);
	assert_int_equal(moves_coming_joining(w.new.m, w.new.addr), MOVE_WAIT);
	/* it is LIVE */
	moves_settle(w.old.m, w.old.addr, true);
	moves_settle(w.new.m, w.new.addr, false);
	/* and joins again */
	assert_int_equal(moves_coming_joining(w.new.m, w.new.addr), MOVE_PROBE);
	assert_int_equal(w.new.own, 0);
	world_end(&w);
}

static void an_address_is_let_go_of_though_nobody_takes_it(void **state)
{
	struct world w = {.old = {.deaf = true}, .new = {.deaf = true}};

	world_start(&w, "another key, and a long one");
	gw_pass(&w.old);
	assert_true(w.old.has);
	world_run(&w);
	assert_false(w.old.has);
	assert_int_equal(w.old.counts.left, 0);
	assert_int_equal(w.old.counts.left_alone, 1);
	world_end(&w);
}

static void refuses_connections_that_cannot_be(void **state)
{
	struct move_flow f = gateway_flow("203.0.113.10", 7), got;
	uint8_t buf[MOVE_FLOW_SIZE];

	move_flow_put(&f, buf);
	assert_true(move_flow_get(buf, &got));
	assert_memory_equal(&got, &f, sizeof(f));
	f.dst = A("2001:db8::1");
	move_flow_put(&f, buf);
	assert_false(move_flow_get(buf, &got));
	f = gateway_flow("203.0.113.10", 7);
	f.proto = IPPROTO_ICMP;
	move_flow_put(&f, buf);
	assert_false(move_flow_get(buf, &got));
	f = gateway_flow("203.0.113.10", 7);
	f.timeout = 1u << 31;
	move_flow_put(&f, buf);
	assert_false(move_flow_get(buf, &got));
	f = gateway_flow("203.0.113.10", 0);
	move_flow_put(&f, buf);
	assert_false(move_flow_get(buf, &got));
}

/* Has the key, and says what no gateway would: a connection or a word for ever more addresses. */
struct mad {
	struct loop *loop;
	bool flows, cut_off;
	size_t told; /* addresses */
};

static void mad_talk(void *data, struct channel *c)
{
	struct mad *w = data;

	while (w->told < 20000) {
		struct addr addrs[512];
		struct move_flow flows[512];
		size_t n = 0;

		for (; n < 512; n++, w->told++) {
			char text[64];

			snprintf(text, sizeof(text), "10.%zu.%zu.%zu", w->told >> 16,
				 w->told >> 8 & 255, w->told & 255);
			addrs[n] = A(text);
			flows[n] = gateway_flow(text, 7);
		}
		if ((w->flows ? move_flows_send(c, flows, n)
			      : move_addrs_send(c, FRAME_READY, addrs, n)) < 0)
			return;
	}
}

static int mad_frame(void *data, struct channel *c, uint8_t type, const void *payload, size_t n)
{
	return 0;
}

static void mad_closed(void *data, struct channel *c, const char *why)
{
	struct mad *w = data;

	w->cut_off = !why || !strstr(why, "nothing heard");
	loop_quit(w->loop);
}

static void who_tells_of_addresses_without_end_is_cut_off(void **state)
{
	static const struct channel_ops mad_ops = {mad_talk, mad_frame, mad_closed};

	for (int i = 0; i < 2; i++) {
		struct world w = {.old = {.deaf = true}};
		struct mad mad = {.flows = i};
		struct keyring ring = gateway_ring(GATEWAY_KEY);
		struct channels_in in = {.keys.ring = &ring, .ops = &mad_ops, .data = &mad};
		struct channels *all;
		struct channel *c;

		world_start(&w, GATEWAY_KEY);
		in.loop = mad.loop = w.loop;
		assert_int_equal(channels_new(&in, &all, NULL), 0);
		assert_int_equal(channel_open(all, A("127.0.0.1"),
					      channels_port(moves_channels(w.new.m)), &c, NULL),
				 0);
		world_run(&w);
		assert_true(mad.cut_off);
		channels_free(all);
		world_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_moves_with_its_connections),
		cmocka_unit_test(it_does_not_matter_who_learns_first),
		cmocka_unit_test(a_move_that_was_called_off_leaves_nothing_behind),
		cmocka_unit_test(nobody_waits_for_ever_for_who_is_silent),
		cmocka_unit_test(who_has_it_already_takes_the_connections_and_says_so),
		cmocka_unit_test(two_had_it_until_the_last_word_of_who_lets_go),
		cmocka_unit_test(who_is_started_anew_as_it_lets_go_is_answered_again),
		cmocka_unit_test(who_joins_is_taken_at_its_word_after_a_while),
		cmocka_unit_test(who_joins_and_keeps_it_has_told_nothing),
		cmocka_unit_test(an_address_is_let_go_of_though_nobody_takes_it),
		cmocka_unit_test(refuses_connections_that_cannot_be),
		cmocka_unit_test(who_tells_of_addresses_without_end_is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
