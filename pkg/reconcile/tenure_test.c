/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "reconcile/tenure.h"

static int64_t now, heard, answered;
static bool in_force;

static bool carried(void *data, const struct egress_addr *a, int64_t *ret_answered)
{
	*ret_answered = answered;
	return in_force;
}

static int64_t lost(void *data, const char *node)
{
	return strcmp(node, "dead") == 0 ? heard : -1;
}

static char gateway[] = "office", home[] = "b";

static struct egress_addr address(const char *text, char *owner)
{
	struct egress_addr a = {.gateway = gateway, .owner = owner, .home = home};

	addr_parse(text, &a.addr);
	a.local = a.assign = owner && strcmp(owner, "self") == 0;
	return a;
}

static void look(struct tenures *t, const struct egress_addr *list, size_t n, uint64_t serial)
{
	const struct tenures_in in = {.addrs = list,
				      .n = n,
				      .serial = serial,
				      .now = now,
				      .wall_ms = 1000000 + now,
				      .carried = carried,
				      .lost = lost};

	tenures_update(t, &in);
}

static int reset(void **state)
{
	now = 5000;
	heard = answered = -1;
	in_force = false;
	return 0;
}

static char self[] = "self", dead[] = "dead", other[] = "other";

static void the_gap_runs_from_the_last_heartbeat_to_the_claim(void **state)
{
	struct egress_addr list[] = {address("203.0.113.1", dead), address("2001:db8::1", dead)};
	struct tenures t = {0};

	look(&t, list, 2, 1);
	assert_int_equal(tenures_find(&t, list[0].addr)->by, TENURE_FOUND);
	assert_null(tenures_latest(&t));
	heard = 5900;
	now = 6200;
	list[0] = address("203.0.113.1", self);
	list[1] = address("2001:db8::1", self);
	look(&t, list, 2, 2); /* being asked for */
	assert_null(tenures_latest(&t));
	now = 6260;
	in_force = true;
	look(&t, list, 2, 2);
	assert_int_equal(tenures_latest(&t)->gap_ms, 360);
	assert_int_equal(tenures_latest(&t)->n, 2);
	assert_string_equal(tenures_last(&t, "office")->from, "dead");
	assert_int_equal(t.failovers, 2);
	assert_int_equal(tenures_find(&t, list[1].addr)->since_ms, 1006260);
	now = 7000;
	look(&t, list, 2, 2); /* once */
	assert_int_equal(t.failovers, 2);
	assert_null(tenures_last(&t, "lab"));
	tenures_done(&t);
}

static void who_answers_for_it_carries_it(void **state)
{
	struct egress_addr a = address("203.0.113.1", dead);
	struct tenures t = {0};

	look(&t, &a, 1, 1);
	heard = 5000;
	a = address("203.0.113.1", self);
	look(&t, &a, 1, 2);
	now = 90000; /* only its daemon was away */
	answered = 89900;
	in_force = true;
	look(&t, &a, 1, 2);
	assert_int_equal(tenures_latest(&t)->gap_ms, 100);
	tenures_done(&t);
}

static void a_planned_move_is_no_failover(void **state)
{
	struct egress_addr a = address("203.0.113.1", other);
	struct tenures t = {0};

	look(&t, &a, 1, 1);
	a = address("203.0.113.1", self);
	in_force = true;
	look(&t, &a, 1, 2);
	assert_int_equal(tenures_find(&t, a.addr)->by, TENURE_MOVED);
	assert_string_equal(tenures_find(&t, a.addr)->from, "other");
	assert_int_equal(t.moves, 1);
	assert_int_equal(t.failovers, 0);
	a = address("203.0.113.1", other);
	now += 10;
	look(&t, &a, 1, 3);
	assert_int_equal(tenures_find(&t, a.addr)->since_ms, 1005010);
	assert_int_equal(t.moves, 1);
	tenures_done(&t);
}

static void one_that_is_added_or_had_nobody_is_assigned(void **state)
{
	struct egress_addr list[] = {address("203.0.113.1", NULL), address("203.0.113.2", self)};
	struct tenures t = {0};

	look(&t, list, 1, 1);
	list[0] = address("203.0.113.1", self);
	in_force = true;
	look(&t, list, 2, 2);
	assert_int_equal(tenures_find(&t, list[0].addr)->by, TENURE_ASSIGNED);
	assert_int_equal(tenures_find(&t, list[1].addr)->by, TENURE_ASSIGNED);
	assert_int_equal(t.moves + t.failovers, 0);
	look(&t, list, 1, 3);
	assert_null(tenures_find(&t, list[1].addr));
	tenures_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_gap_runs_from_the_last_heartbeat_to_the_claim, reset),
		cmocka_unit_test_setup(who_answers_for_it_carries_it, reset),
		cmocka_unit_test_setup(a_planned_move_is_no_failover, reset),
		cmocka_unit_test_setup(one_that_is_added_or_had_nobody_is_assigned, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
