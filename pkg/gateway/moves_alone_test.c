/* SPDX-License-Identifier: Apache-2.0 */
/* Moves of more than one address, and those that one gateway has to end by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "gateway/moves_priv.h"
#include "gateway/moves_wire.h"
#include "testkit/addr_fixture.h"
#include "testkit/gateway_fixture.h"

struct gw {
	struct loop *loop;
	struct keyring ring;
	struct moves_counts counts;
	struct moves *m;
	struct addr a, b, peer;
	size_t changed;
};

static void gw_changed(void *data)
{
	((struct gw *)data)->changed++;
}

static const struct moves_ops ops = {.changed = gw_changed};

static void gw_start(struct gw *g)
{
	struct moves_in in = {.keys.ring = &g->ring, .ops = &ops, .data = g, .counts = &g->counts};

	*g = (struct gw){.ring = gateway_ring(GATEWAY_KEY),
			 .a = addr_of("203.0.113.10"),
			 .b = addr_of("203.0.113.11"),
			 .peer = addr_of("127.0.0.1")};
	assert_int_equal(loop_new(&g->loop, NULL), 0);
	in.loop = g->loop;
	assert_int_equal(moves_new(&in, &g->m, NULL), 0);
}

static void gw_end(struct gw *g)
{
	moves_free(g->m);
	loop_free(g->loop);
}

static void turn(struct gw *g)
{
	struct loop_timer *t;

	assert_int_equal(loop_timer_new(g->loop, (void (*)(void *))loop_quit, g->loop, &t, NULL),
			 0);
	loop_timer_arm(t, 5);
	assert_int_equal(loop_run(g->loop, NULL), 0);
	loop_timer_free(t);
}

static void each_of_two_addresses_leaves_by_itself(void **state)
{
	struct gw g;

	gw_start(&g);
	assert_int_equal(moves_leaving(g.m, g.a, g.peer), MOVE_KEEP);
	assert_int_equal(moves_leaving(g.m, g.b, g.peer), MOVE_KEEP);
	assert_int_equal(g.m->n_leaving, 2);
	moves_settle(g.m, g.a, true);
	assert_null(leaving_find(g.m, g.a));
	assert_non_null(leaving_find(g.m, g.b));
	/* neither was taken by anybody */
	moves_let(g.m, g.a);
	moves_let(g.m, g.b);
	assert_int_equal(moves_leaving(g.m, g.b, g.peer), MOVE_KEEP);
	assert_int_equal(g.counts.left + g.counts.left_alone, 0);
	gw_end(&g);
}

static void who_is_never_answered_lets_go_and_knows_it_for_a_while(void **state)
{
	int64_t now = clock_ms();
	struct gw g;

	gw_start(&g);
	assert_int_equal(moves_leaving(g.m, g.a, g.peer), MOVE_KEEP);
	assert_false(leaving_expire(g.m, now + MOVE_LEAVE_MS - 1));
	assert_int_equal(moves_leaving(g.m, g.a, g.peer), MOVE_KEEP);
	assert_true(leaving_expire(g.m, clock_ms() + MOVE_LEAVE_MS));
	assert_int_equal(moves_leaving(g.m, g.a, g.peer), MOVE_GONE);
	assert_int_equal(g.counts.left_alone, 1);
	assert_false(leaving_expire(g.m, clock_ms() + MOVE_LINGER_MS));
	assert_int_equal(g.m->n_leaving, 0);
	gw_end(&g);
}

static void what_is_called_off_came_neither_with_its_connections_nor_without(void **state)
{
	struct gw g;

	gw_start(&g);
	assert_int_equal(moves_coming(g.m, g.a, true), MOVE_WAIT);
	moves_settle(g.m, g.a, false);
	assert_int_equal(g.m->n_coming, 0);
	assert_int_equal(g.counts.came + g.counts.came_alone, 0);
	gw_end(&g);
}

static void tell_one(void *data, struct channel *c)
{
	struct move_flow f = gateway_flow("203.0.113.10", 7);

	assert_int_equal(move_flows_send(c, &f, 1), 0);
}

static int on_frame(void *data, struct channel *c, uint8_t type, const void *payload, size_t n)
{
	return 0;
}

static void on_closed(void *data, struct channel *c, const char *why)
{
}

static void who_dies_as_it_tells_is_waited_for_no_longer(void **state)
{
	static const struct channel_ops dying = {tell_one, on_frame, on_closed};
	struct channels *other;
	struct channel *c;
	struct gw g;

	gw_start(&g);
	assert_int_equal(moves_coming(g.m, g.a, true), MOVE_WAIT);
	assert_int_equal(
		channels_new(
			&(struct channels_in){.loop = g.loop, .keys.ring = &g.ring, .ops = &dying},
			&other, NULL),
		0);
	assert_int_equal(channel_open(other, g.peer, channels_port(moves_channels(g.m)), &c, NULL),
			 0);
	for (int i = 0; i < 6000 && !g.m->n_pending; i++)
		turn(&g);
	assert_int_equal(moves_coming(g.m, g.a, true), MOVE_WAIT);
	channels_free(other);
	for (int i = 0; i < 6000 && !g.changed; i++)
		turn(&g);
	assert_null(coming_find(g.m, g.a)->channel);
	assert_int_equal(moves_coming(g.m, g.a, true), MOVE_PROBE);
	assert_int_equal(g.m->n_pending, 1);
	moves_settle(g.m, g.a, false);
	assert_int_equal(g.m->n_pending, 0); /* or the room for others is used up one day */
	assert_int_equal(g.counts.came_alone, 1);
	gw_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_two_addresses_leaves_by_itself),
		cmocka_unit_test(who_is_never_answered_lets_go_and_knows_it_for_a_while),
		cmocka_unit_test(what_is_called_off_came_neither_with_its_connections_nor_without),
		cmocka_unit_test(who_dies_as_it_tells_is_waited_for_no_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
