/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "dataplane/space.h"

#include "testkit/space_fixture.h"

static uint32_t take(struct space *s, uint32_t n)
{
	uint32_t at = 0;

	assert_true(space_take(s, n, &at));
	return at;
}

static void gives_freed_places_out_last(void **state)
{
	struct space s;
	uint32_t at;

	space_init(&s, 10, 10);
	assert_int_equal(take(&s, 4), 0);
	assert_int_equal(take(&s, 4), 4);
	space_rest(&s, 0, 4);
	assert_int_equal(take(&s, 2), 8);
	assert_false(space_take(&s, 3, &at)); /* they rest */
	space_wake(&s);
	assert_int_equal(take(&s, 3), 0); /* around */
	assert_false(space_take(&s, 2, &at));
	assert_int_equal(take(&s, 1), 3);
	assert_false(space_take(&s, 1, &at));
	assert_false(space_take(&s, 11, &at));
	assert_false(space_take(&s, 0, &at));
	assert_int_equal(s.used, 10);
	space_done(&s);
}

static void takes_places_where_there_are_some(void **state)
{
	struct runs r = {0};
	struct space s;

	space_init(&s, 200, 400);
	space_mark(&s, 10, 60);
	space_mark(&s, 100, 90);
	assert_false(space_take_some(&s, 51, &r));
	assert_int_equal(r.n, 0);
	assert_true(space_take_some(&s, 45, &r));
	assert_int_equal(r.n, 3);
	assert_int_equal(r.items[1].first, 70);
	assert_int_equal(r.items[1].n, 30);
	assert_int_equal(r.items[2].n, 5);
	assert_int_equal(s.used, 195);
	free(r.items);
	space_done(&s);
}

static void grows_by_steps_up_to_its_end(void **state)
{
	struct space s;

	space_init(&s, 100, 300);
	space_mark(&s, 0, 90);
	assert_true(space_grow(&s, 10, 100));
	assert_int_equal(s.size, 100);
	assert_true(space_grow(&s, 11, 100));
	assert_int_equal(s.size, 200);
	assert_int_equal(take(&s, 60), 90);
	assert_false(space_grow(&s, 151, 100));
	assert_true(space_grow(&s, 150, 100));
	assert_false(space_has(&s, 299));
	space_done(&s);
}

/* A plan that is dropped leaves no trace; one that is carried out keeps what rests. */
static void plans_on_a_copy(void **state)
{
	struct space s, plan;

	space_init(&s, 100, 100);
	take(&s, 10);
	space_rest(&s, 0, 5);
	plan = space_plan(&s);
	assert_int_equal(take(&plan, 10), 10);
	space_done(&plan);
	assert_int_equal(s.used, 10);
	plan = space_plan(&s);
	assert_int_equal(take(&plan, 10), 10);
	space_adopt(&s, &plan);
	assert_int_equal(s.used, 20);
	space_wake(&s);
	assert_int_equal(s.used, 15);
	assert_false(space_has(&s, 4));
	assert_true(space_has(&s, 5));
	space_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_freed_places_out_last),
		cmocka_unit_test(takes_places_where_there_are_some),
		cmocka_unit_test(grows_by_steps_up_to_its_end),
		cmocka_unit_test(plans_on_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
