/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "reconcile/rivals.h"

static struct addr A(uint16_t i) {
	return addr_from_v4((uint8_t[4]){203, 0, (uint8_t)(i >> 8), (uint8_t)i});
}

static struct rivals_moment
at(int64_t now)
{
	return (struct rivals_moment){now, 1700000000000 + now};
}

static void who_else_has_an_address_is_known_until_it_lets_go(void **state)
{
	struct rivals r = {0};
	const struct rivalry *k;

	assert_null(rivals_find(&r, A(1)));
	assert_null(rivals_latest(&r));
	rivals_begin(&r, A(1), "office", "gw2", at(100));
	assert_string_equal(rivals_find(&r, A(1)), "gw2");
	assert_null(rivals_find(&r, A(2)));
	k = rivals_latest(&r);
	assert_int_equal(k->open, 1);
	assert_int_equal(k->at_ms, 1700000000100);
	assert_null(rivals_end(&r, A(2), at(150)));
	assert_ptr_equal(rivals_end(&r, A(1), at(180)), k);
	assert_null(rivals_find(&r, A(1)));
	assert_int_equal(k->open, 0);
	assert_int_equal(k->took_ms, 80);
	assert_int_equal(r.total, 1);
	assert_int_equal(r.serial, 2);
	rivals_done(&r);
}

static void all_that_two_had_after_one_parting_are_one_round(void **state)
{
	struct rivals r = {0};
	const struct rivalry *k;

	rivals_begin(&r, A(1), "office", "gw2", at(100));
	rivals_begin(&r, A(2), "office", "gw2", at(110));
	rivals_end(&r, A(1), at(120));
	rivals_end(&r, A(2), at(150));
	rivals_begin(&r, A(3), "office", "gw2", at(160));
	k = rivals_latest(&r);
	assert_int_equal(k->n, 3);
	assert_int_equal(k->open, 1);
	assert_true(addr_eq(k->addr, A(1)));
	rivals_end(&r, A(3), at(200));
	assert_int_equal(k->took_ms, 100);
	/* another gateway, another node, another time */
	rivals_begin(&r, A(4), "branch", "gw2", at(300));
	assert_string_equal(rivals_latest(&r)->gateway, "branch");
	rivals_begin(&r, A(5), "office", "gw3", at(400));
	assert_string_equal(rivals_latest(&r)->node, "gw3");
	rivals_begin(&r, A(6), "office", "gw2", at(100 + RIVALS_ROUND_MS));
	k = rivals_latest(&r);
	assert_int_equal(k->n, 1);
	assert_true(addr_eq(k->addr, A(6)));
	assert_int_equal(r.n_rounds, 3);
	rivals_done(&r);
}

static void there_is_an_end_to_what_is_remembered(void **state)
{
	struct rivals r = {0};

	for (uint16_t i = 0; i < RIVALS_MAX + 10; i++)
		rivals_begin(&r, A(i), "office", "gw2", at(i));
	rivals_begin(&r, A(0), "office", "gw2", at(9));
	assert_int_equal(r.n, RIVALS_MAX);
	assert_int_equal(r.total, RIVALS_MAX + 11);
	for (uint16_t i = 0; i < RIVALS_MAX + 10; i++)
		rivals_end(&r, A(i), at(9999));
	assert_int_equal(r.n, 0);
	assert_int_equal(rivals_latest(&r)->open, 0);
	rivals_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_else_has_an_address_is_known_until_it_lets_go),
		cmocka_unit_test(all_that_two_had_after_one_parting_are_one_round),
		cmocka_unit_test(there_is_an_end_to_what_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
