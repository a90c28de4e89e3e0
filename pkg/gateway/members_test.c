/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/members.h"

/* Two nodes that hear each other, 100 ms, three missed. */
struct pair {
	struct members *a, *b;
	int64_t now;
	struct heartbeat from_a, from_b; /* the last ones */
};

static const struct member_conf two[] = {
	{"a", 100, 500, 3},
	{"b", 100, 500, 3},
};

static void pair_init(struct pair *p, bool a_holds)
{
	const struct members_self self = {.holds = a_holds}, other = {.holds = true};

	*p = (struct pair){.now = 5000};
	p->a = members_new(1, &self, p->now);
	p->b = members_new(1, &other, p->now);
	assert_int_equal(members_configure(p->a, "a", two, 2, p->now), 0);
	assert_int_equal(members_configure(p->b, "b", two, 2, p->now), 0);
}

static void pair_done(struct pair *p)
{
	members_free(p->a);
	members_free(p->b);
}

/* One interval; with a false a's packets are lost, with b false b's. */
static void interval(struct pair *p, bool a, bool b)
{
	size_t peer;

	p->now += 100;
	while (members_send(p->a, p->now, &peer, &p->from_a))
		if (a)
			members_receive(p->b, &p->from_a, p->now);
	while (members_send(p->b, p->now, &peer, &p->from_b))
		if (b)
			members_receive(p->a, &p->from_b, p->now);
	members_tick(p->a, p->now);
	members_tick(p->b, p->now);
}

static void intervals(struct pair *p, int n, bool a, bool b)
{
	while (n--)
		interval(p, a, b);
}

static uint8_t tier_of(const struct members *m)
{
	struct member_view v;

	members_get(m, 0, &v);
	return v.tier;
}

static void who_is_heard_lives_and_who_misses_three_is_away(void **state)
{
	struct pair p;

	pair_init(&p, true);
	assert_int_equal(tier_of(p.a), RANK_AWAY);
	assert_true(members_alone(p.a));
	intervals(&p, 3, true, true);
	assert_int_equal(tier_of(p.a), RANK_LIVE);
	assert_false(members_alone(p.a));
	intervals(&p, 3, true, false);
	assert_int_equal(tier_of(p.a), RANK_LIVE);
	interval(&p, true, false);
	assert_int_equal(tier_of(p.a), RANK_AWAY);
	interval(&p, true, true);
	assert_int_equal(tier_of(p.a), RANK_LIVE);
	pair_done(&p);
}

/* b hears a, but a does not hear b: they are away for each other */
static void one_direction_is_none(void **state)
{
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 3, true, true);
	intervals(&p, 10, true, false);
	assert_int_equal(tier_of(p.a), RANK_AWAY);
	assert_int_equal(tier_of(p.b), RANK_AWAY);
	pair_done(&p);
}

static void who_starts_without_addresses_listens_first(void **state)
{
	struct pair p;

	pair_init(&p, false);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	assert_false(members_settled(p.a));
	assert_int_equal(members_self_tier(p.b), RANK_LIVE);
	intervals(&p, 3, true, true);
	assert_int_equal(tier_of(p.b), RANK_JOINING);
	intervals(&p, 3, true, true);
	assert_true(members_settled(p.a));
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

static void who_was_away_waits_for_its_hold_down(void **state)
{
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 20, true, true);
	intervals(&p, 5, false, false);
	members_set_taken(p.b, "a", true); /* b has taken over */
	intervals(&p, 3, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	assert_int_equal(tier_of(p.b), RANK_JOINING);
	intervals(&p, 2, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	intervals(&p, 5, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	members_set_taken(p.b, "a", false);
	intervals(&p, 30, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	pair_done(&p);
}

static void who_is_killed_and_started_again_goes_on_at_once(void **state)
{
	const struct members_self holds = {.holds = true};
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 20, true, true);
	intervals(&p, 50, false, false); /* b has asked on the segment, and a has answered */
	members_free(p.a);
	p.a = members_new(2, &holds, p.now);
	members_configure(p.a, "a", two, 2, p.now);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	intervals(&p, 3, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

static void a_replayed_packet_proves_nothing(void **state)
{
	const struct members_self holds = {.holds = true};
	struct heartbeat old;
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 20, true, true);
	old = p.from_a;
	assert_int_equal(members_receive(p.b, &old, p.now), MEMBERS_REPLAYED);
	interval(&p, true, true);
	assert_int_equal(members_receive(p.b, &old, p.now), MEMBERS_REPLAYED);
	/* nor to one who was just started and remembers nothing */
	old = p.from_a;
	members_free(p.b);
	p.b = members_new(2, &holds, p.now);
	members_configure(p.b, "b", two, 2, p.now);
	assert_int_equal(members_receive(p.b, &old, p.now), MEMBERS_UNPROVEN);
	assert_int_equal(tier_of(p.b), RANK_AWAY);
	/* and one that was held back counts only for a while */
	intervals(&p, 20, true, true);
	interval(&p, false, true);
	old = p.from_a;
	intervals(&p, 10, false, false);
	assert_int_equal(members_receive(p.b, &old, p.now), MEMBERS_UNPROVEN);
	pair_done(&p);
}

static void strangers_and_mail_for_others_are_not_taken_in(void **state)
{
	struct heartbeat odd;
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 5, true, true);
	odd = p.from_a;
	odd.seq += 1000000;
	odd.from = heartbeat_name("c");
	assert_int_equal(members_receive(p.b, &odd, p.now), MEMBERS_STRANGER);
	odd.from = heartbeat_name("a");
	odd.to = heartbeat_name("a");
	assert_int_equal(members_receive(p.b, &odd, p.now), MEMBERS_STRANGER);
	assert_int_equal(members_receive(p.a, &odd, p.now), MEMBERS_STRANGER); /* from itself */
	pair_done(&p);
}

static void a_clock_that_went_back_does_not_silence_a_node(void **state)
{
	const struct members_self holds = {.holds = true};
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 20, true, true);
	members_free(p.a);
	p.a = members_new(0, &holds, p.now); /* before its first start */
	members_configure(p.a, "a", two, 2, p.now);
	intervals(&p, 3, true, true);
	assert_int_equal(tier_of(p.a), RANK_LIVE);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

static void without_carrier_a_node_owns_nothing_and_joins_anew(void **state)
{
	const struct members_self blind = {.blind = true}, fine = {.holds = false};
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 20, true, true);
	members_set_self(p.a, &blind, p.now);
	interval(&p, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE); /* it may come back at once */
	intervals(&p, 4, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_AWAY);
	assert_int_equal(tier_of(p.b), RANK_AWAY);
	members_set_self(p.a, &fine, p.now);
	interval(&p, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	intervals(&p, 6, true, true);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

static void who_is_drained_joins_until_it_is_not(void **state)
{
	const struct members_self drained = {.drained = true, .holds = true},
				  fine = {.holds = true};
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 20, true, true);
	members_set_self(p.a, &drained, p.now);
	intervals(&p, 40, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	assert_int_equal(tier_of(p.b), RANK_JOINING);
	members_set_self(p.a, &fine, p.now);
	intervals(&p, 2, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

static void a_slower_peer_is_given_its_own_time(void **state)
{
	struct member_conf slow[2] = {two[0], two[1]};
	struct pair p;

	pair_init(&p, true);
	slow[0].interval_ms = slow[1].interval_ms = 400;
	members_configure(p.a, "a", slow, 2, p.now); /* b has not read it yet */
	intervals(&p, 40, true, true);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	intervals(&p, 9, false, false);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

static void who_leaves_the_list_is_forgotten_and_alone_a_node_is_live(void **state)
{
	struct member_conf many[MEMBERS_MAX + 1];
	struct pair p;

	pair_init(&p, false);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	members_configure(p.a, "a", two, 1, p.now);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	assert_int_equal(members_due(p.a, p.now), INT64_MAX);
	assert_false(members_alone(p.a));
	for (size_t i = 0; i <= MEMBERS_MAX; i++)
		many[i] = two[0];
	assert_int_equal(members_configure(p.a, "a", many, MEMBERS_MAX + 1, p.now), -E2BIG);
	assert_int_equal(members_due(p.a, p.now), INT64_MAX); /* nobody to talk to */
	pair_done(&p);
}

static void a_drained_node_is_there_and_wants_nothing(void **state)
{
	struct members_self self = {.holds = true, .drained = true};
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 10, true, true);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	members_set_self(p.a, &self, p.now);
	intervals(&p, 2, true, true);
	assert_int_equal(tier_of(p.b), RANK_JOINING);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	intervals(&p, 100, true, true);
	assert_int_equal(tier_of(p.b), RANK_JOINING);
	self.drained = false;
	members_set_self(p.a, &self, p.now);
	intervals(&p, 20, true, true);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

static void who_is_doubted_keeps_what_it_has_and_takes_nothing_back(void **state)
{
	struct members_self self = {.holds = true, .doubted = true};
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 10, true, true);
	members_set_self(p.a, &self, p.now);
	intervals(&p, 10, true, true);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	intervals(&p, 5, false, false);
	members_set_taken(p.b, "a", true); /* b has taken over */
	intervals(&p, 60, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	assert_int_equal(tier_of(p.b), RANK_JOINING);
	/* there is nobody else any more */
	intervals(&p, 20, false, false);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	intervals(&p, 10, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	self.doubted = false;
	members_set_self(p.a, &self, p.now);
	intervals(&p, 20, true, true);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

static void what_an_edit_brings_home_makes_nobody_join(void **state)
{
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 60, true, true);
	members_set_taken(p.b, "a", true); /* the address that was at home at b is now at a's */
	intervals(&p, 5, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	intervals(&p, 60, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	/* but after it has been away, it is as ever */
	intervals(&p, 5, false, false);
	intervals(&p, 3, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_JOINING);
	pair_done(&p);
}

static void who_is_drained_no_longer_waits_for_nothing(void **state)
{
	struct members_self self = {.drained = true};
	struct pair p;

	pair_init(&p, true);
	intervals(&p, 60, true, true);
	members_set_self(p.a, &self, p.now);
	intervals(&p, 2, true, true);
	assert_int_equal(members_self_state(p.a), HEARTBEAT_DRAINED);
	members_set_taken(p.b, "a", true);
	intervals(&p, 30, true, true);
	self.drained = false;
	members_set_self(p.a, &self, p.now);
	intervals(&p, 2, true, true);
	assert_int_equal(members_self_tier(p.a), RANK_LIVE);
	assert_int_equal(tier_of(p.b), RANK_LIVE);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_heard_lives_and_who_misses_three_is_away),
		cmocka_unit_test(one_direction_is_none),
		cmocka_unit_test(who_starts_without_addresses_listens_first),
		cmocka_unit_test(who_was_away_waits_for_its_hold_down),
		cmocka_unit_test(who_is_killed_and_started_again_goes_on_at_once),
		cmocka_unit_test(a_replayed_packet_proves_nothing),
		cmocka_unit_test(strangers_and_mail_for_others_are_not_taken_in),
		cmocka_unit_test(a_clock_that_went_back_does_not_silence_a_node),
		cmocka_unit_test(without_carrier_a_node_owns_nothing_and_joins_anew),
		cmocka_unit_test(who_is_drained_joins_until_it_is_not),
		cmocka_unit_test(a_slower_peer_is_given_its_own_time),
		cmocka_unit_test(who_leaves_the_list_is_forgotten_and_alone_a_node_is_live),
		cmocka_unit_test(a_drained_node_is_there_and_wants_nothing),
		cmocka_unit_test(who_is_doubted_keeps_what_it_has_and_takes_nothing_back),
		cmocka_unit_test(what_an_edit_brings_home_makes_nobody_join),
		cmocka_unit_test(who_is_drained_no_longer_waits_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
