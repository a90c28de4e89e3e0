/* SPDX-License-Identifier: Apache-2.0 */
/* Two gateways on one machine: what one tells, the other keeps. */
#include "gateway/replica.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "testkit/addr_fixture.h"
#include "testkit/gateway_fixture.h"

#define A	 addr_of
#define LIMIT_MS 30000
#define SEEN	 "203.0.113.10"
#define SEEN_TOO "2001:db8::10"

/* ---- two gateways ---- */

static int no_list(void *data, const struct addr *addrs, size_t n, struct move_flow **ret,
		   size_t *ret_n)
{
	return -1;
}

static void no_make(void *data, const struct move_flow *flows, size_t n)
{
}

static void no_forget(void *data, const struct addr *addrs, size_t n)
{
}

static void no_change(void *data)
{
}

static const struct moves_ops moves_ops = {
	.list = no_list, .make = no_make, .forget = no_forget, .changed = no_change};

struct gw {
	struct keyring ring;
	struct replica *replica;
	struct moves *moves;
	size_t again;
};

struct world {
	struct loop *loop;
	struct loop_timer *look, *limit;
	struct gw owner, next;
	bool (*until)(struct world *w);
	size_t kept; /* that until waits for */
	uint16_t port;
	int misses;
};

static void on_again(void *data)
{
	((struct gw *)data)->again++;
}

static void gw_new(struct world *w, struct gw *g, uint16_t port, uint16_t peer_port)
{
	const struct replica_in in = {w->loop, peer_port, on_again, g};
	struct moves_in moves = {.loop = w->loop,
				 .keys.ring = &g->ring,
				 .port = port,
				 .peer_port = peer_port,
				 .ops = &moves_ops,
				 .data = g};
	struct err e = {0};

	g->ring = gateway_ring(GATEWAY_KEY);
	assert_int_equal(replica_new(&in, &g->replica, &e), 0);
	moves.more = replica_more(g->replica);
	assert_int_equal(moves_new(&moves, &g->moves, &e), 0);
}

static void gw_free(struct gw *g)
{
	moves_free(g->moves);
	replica_free(g->replica);
	*g = (struct gw){};
}

static void on_limit(void *data)
{
	fail_msg("it takes too long");
}

static void on_look(void *data)
{
	struct world *w = data;

	if (w->until(w))
		loop_quit(w->loop);
	else
		loop_timer_arm(w->look, 5);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err e = {0};

	assert_int_equal(loop_new(&w->loop, &e), 0);
	assert_int_equal(loop_timer_new(w->loop, on_look, w, &w->look, &e), 0);
	assert_int_equal(loop_timer_new(w->loop, on_limit, w, &w->limit, &e), 0);
	gw_new(w, &w->next, 0, 0);
	w->port = channels_port(moves_channels(w->next.moves));
	gw_new(w, &w->owner, 0, w->port);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	gw_free(&w->owner);
	gw_free(&w->next);
	loop_timer_free(w->look);
	loop_timer_free(w->limit);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void runs_until(struct world *w, bool (*until)(struct world *w))
{
	struct err e = {0};

	w->until = until;
	loop_timer_arm(w->look, 0);
	loop_timer_arm(w->limit, LIMIT_MS);
	assert_int_equal(loop_run(w->loop, &e), 0);
}

static struct replica_stats stats_of(const struct gw *g)
{
	struct replica_stats s;

	replica_stats(g->replica, &s);
	return s;
}

static bool keeps_so_many(struct world *w)
{
	return stats_of(&w->next).kept == w->kept;
}

static void keeps(struct world *w, size_t n)
{
	w->kept = n;
	runs_until(w, keeps_so_many);
}

static bool keeps_less(struct world *w)
{
	return stats_of(&w->next).kept < w->kept;
}

static bool some_time_goes(struct world *w)
{
	return w->misses-- == 0;
}

static void targets(struct world *w, size_t n)
{
	const struct replica_target list[] = {{A(SEEN_TOO), A("127.0.0.1")},
					      {A(SEEN), A("127.0.0.1")}};
	struct replica_target sorted[2] = {list[0], list[1]};

	if (addr_cmp(sorted[0].addr, sorted[1].addr) > 0) {
		sorted[0] = list[1];
		sorted[1] = list[0];
	}
	replica_targets(w->owner.replica, sorted, n);
}

static void tell(struct world *w, const char *seen, uint16_t from, uint16_t to)
{
	for (uint16_t port = from; port < to; port++) {
		struct move_flow f = gateway_flow(seen, port);

		replica_flow(w->owner.replica, &f);
	}
}

/* ---- what holds ---- */

static void what_begins_is_kept_and_what_ends_is_not(void **state)
{
	struct world *w = *state;
	struct move_flow *got, want = gateway_flow(SEEN, 1000);

	targets(w, 2);
	assert_int_equal(w->owner.again, 1);
	tell(w, SEEN, 1000, 1100);
	tell(w, SEEN_TOO, 1000, 1050);
	keeps(w, 150);
	tell(w, SEEN, 1100, 1110);
	for (uint16_t port = 1001; port < 1100; port++) {
		struct move_flow f = gateway_flow(SEEN, port);

		replica_gone(w->owner.replica, &f);
	}
	keeps(w, 61);
	assert_int_equal(replica_take(w->next.replica, A(SEEN), &got), 11);
	assert_memory_equal(&got[0], &want, sizeof(want));
	free(got);
	assert_int_equal(stats_of(&w->next).kept, 50);
}

static void what_ends_at_once_is_never_told(void **state)
{
	struct world *w = *state;
	struct replica_stats s;

	targets(w, 2);
	tell(w, SEEN, 1, 2);
	keeps(w, 1);
	for (uint16_t port = 1000; port < 2000; port++) {
		struct move_flow f = gateway_flow(SEEN, port);

		replica_flow(w->owner.replica, &f);
		replica_gone(w->owner.replica, &f);
	}
	s = stats_of(&w->owner);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(s.told, 1);
}

static void what_a_look_does_not_find_is_gone(void **state)
{
	struct world *w = *state;

	targets(w, 2);
	tell(w, SEEN, 1000, 1100);
	keeps(w, 100);
	replica_list(w->owner.replica);
	tell(w, SEEN, 1050, 1110);
	replica_listed(w->owner.replica);
	keeps(w, 60);
}

static void who_is_next_is_started_anew_and_hears_all_again(void **state)
{
	struct world *w = *state;

	targets(w, 2);
	tell(w, SEEN, 1000, 1100);
	keeps(w, 100);
	gw_free(&w->next);
	gw_new(w, &w->next, w->port, 0);
	keeps(w, 100);
}

static void who_has_lost_an_address_is_told_it_again(void **state)
{
	struct world *w = *state;
	struct move_flow *got;

	targets(w, 2);
	tell(w, SEEN, 1000, 1010);
	tell(w, SEEN_TOO, 1000, 1010);
	keeps(w, 20);
	assert_int_equal(replica_take(w->next.replica, A(SEEN), &got), 10);
	free(got);
	keeps(w, 20);
}

static void what_is_no_longer_to_be_kept_is_forgotten(void **state)
{
	struct world *w = *state;

	targets(w, 2);
	tell(w, SEEN, 1000, 1010);
	tell(w, SEEN_TOO, 1000, 1020);
	keeps(w, 30);
	targets(w, 1); /* the first of both in their order */
	runs_until(w, keeps_less);
	targets(w, 0);
	keeps(w, 0);
	assert_int_equal(stats_of(&w->owner).told, 0);
}

static void a_silent_owner_is_remembered(void **state)
{
	struct world *w = *state;
	struct move_flow *got;

	targets(w, 2);
	tell(w, SEEN, 1000, 1100);
	keeps(w, 100);
	gw_free(&w->owner);
	w->misses = 20;
	runs_until(w, some_time_goes);
	assert_int_equal(replica_take(w->next.replica, A(SEEN), &got), 100);
	free(got);
	gw_new(w, &w->owner, 0, w->port);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_begins_is_kept_and_what_ends_is_not),
		TEST(what_ends_at_once_is_never_told),
		TEST(what_a_look_does_not_find_is_gone),
		TEST(who_is_next_is_started_anew_and_hears_all_again),
		TEST(who_has_lost_an_address_is_told_it_again),
		TEST(what_is_no_longer_to_be_kept_is_forgotten),
		TEST(a_silent_owner_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
