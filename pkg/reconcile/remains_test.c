/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/remains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static struct remains r;

static struct addr A(int i) {
	char text[32];
	struct addr a;

	snprintf(text, sizeof(text), "203.0.113.%d", i);
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* A pass: where addresses 1, 2 … are, as a text of H, A, O; - is not in the policies. */
static void
pass(const char *places, int64_t now)
{
	remains_begin(&r);
	for (int i = 0; places[i]; i++)
		if (places[i] != '-')
			remains_put(&r, A(i + 1),
				    places[i] == 'H'   ? REMAINS_HERE
				    : places[i] == 'A' ? REMAINS_AWAY
						       : REMAINS_OPEN,
				    now);
	remains_end(&r);
}

/* What is due then: its number, 0 for none, -1 for several. */
static int forgotten(int64_t now)
{
	struct addr *list = NULL;
	size_t n = remains_take(&r, now, &list);
	int which = n > 1 ? -1 : 0;

	for (int i = 1; n == 1 && i < 255; i++)
		if (addr_eq(list[0], A(i)))
			which = i;
	free(list);
	return which;
}

static int setup(void **state)
{
	pass("A", 1000);
	assert_int_equal(forgotten(1000 + REMAINS_MS), 1);
	return 0;
}

static int teardown(void **state)
{
	remains_done(&r);
	return 0;
}

static void what_went_is_forgotten_once_a_while_later(void **state)
{
	pass("HH", 10000);
	assert_int_equal(remains_due(&r), 0);
	pass("AH", 20000);
	pass("AH", 21000);
	assert_int_equal(remains_due(&r), 20000 + REMAINS_MS);
	assert_int_equal(forgotten(20000 + REMAINS_MS - 1), 0);
	assert_int_equal(forgotten(20000 + REMAINS_MS), 1);
	pass("AH", 30000);
	assert_int_equal(remains_due(&r), 0);
}

static void what_comes_back_or_may_is_kept(void **state)
{
	pass("HH", 10000);
	pass("AA", 20000);
	pass("HO", 21000);
	assert_int_equal(forgotten(99000), 0);
	/* and then somebody else has it after all */
	pass("HA", 100000);
	assert_int_equal(forgotten(100000 + REMAINS_MS), 2);
}

static void connections_that_were_made_in_vain_are_forgotten(void **state)
{
	pass("A", 10000);
	remains_made(&r, A(1));
	assert_int_equal(remains_due(&r), 0);
	pass("A", 11000);
	/* made anew for the next try: the time begins anew */
	remains_made(&r, A(1));
	assert_int_equal(forgotten(11000 + REMAINS_MS), 0);
	pass("A", 20000);
	assert_int_equal(forgotten(20000 + REMAINS_MS), 1);
}

static void what_a_daemon_before_has_left_is_forgotten(void **state)
{
	remains_done(&r);
	pass("HAO", 1000);
	assert_int_equal(forgotten(1000 + REMAINS_MS), 2);
	pass("HAA", 10000);
	assert_int_equal(forgotten(10000 + REMAINS_MS), 3);
	/* a new one was never here */
	pass("HAAA", 20000);
	assert_int_equal(remains_due(&r), 0);
}

static void what_the_policies_have_no_more_is_nobodys(void **state)
{
	pass("HHH", 10000);
	pass("-A-", 11000);
	assert_int_equal(forgotten(11000 + REMAINS_MS), 2);
	pass("A-A", 20000);
	assert_int_equal(remains_due(&r), 0);
}

static void thousands_go_at_once(void **state)
{
	for (int64_t now = 0; now <= 10000; now += 10000) {
		remains_begin(&r);
		for (int i = 0; i < 4096; i++) {
			struct addr a = A(1);

			a.b[0] = (uint8_t)(i >> 8);
			a.b[1] = (uint8_t)i;
			remains_put(&r, a, now ? REMAINS_AWAY : REMAINS_HERE, now);
		}
		remains_end(&r);
	}
	assert_int_equal(forgotten(10000 + REMAINS_MS), -1);
	assert_int_equal(r.n, 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_went_is_forgotten_once_a_while_later),
		TEST(what_comes_back_or_may_is_kept),
		TEST(connections_that_were_made_in_vain_are_forgotten),
		TEST(what_a_daemon_before_has_left_is_forgotten),
		TEST(what_the_policies_have_no_more_is_nobodys),
		TEST(thousands_go_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
