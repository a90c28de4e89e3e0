/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "policy/rank.h"

static const char *const names[] = {"n1", "n2", "n3", "n4", "n5"};

static struct addr nth(uint32_t i)
{
	uint8_t b[4] = {203, 0, (uint8_t)(i >> 8), (uint8_t)i};

	return addr_from_v4(b);
}

static void order_of_the_candidates_does_not_matter(void **state)
{
	static const char *const reversed[] = {"n5", "n4", "n3", "n2", "n1"};

	for (uint32_t i = 0; i < 1000; i++)
		assert_string_equal(names[rank_owner(nth(i), names, 5)],
				    reversed[rank_owner(nth(i), reversed, 5)]);
}

static void a_node_that_leaves_moves_only_its_own(void **state)
{
	size_t moved = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		const char *before = names[rank_owner(nth(i), names, 5)];
		const char *after = names[rank_owner(nth(i), names, 4)];

		if (strcmp(before, "n5") != 0)
			assert_string_equal(before, after);
		else
			moved++;
	}
	assert_in_range(moved, 150, 250);
}

static void nobody_owns_without_candidates(void **state)
{
	assert_int_equal(rank_owner(nth(1), names, 0), -1);
}

/* every node of every version must agree: the values are part of the contract */
static void ranks_are_the_same_for_ever(void **state)
{
	static const long want[] = {1, 1, 4, 0, 1, 4, 1, 3};

	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(rank_owner(nth(i), names, 5), want[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_of_the_candidates_does_not_matter),
		cmocka_unit_test(a_node_that_leaves_moves_only_its_own),
		cmocka_unit_test(nobody_owns_without_candidates),
		cmocka_unit_test(ranks_are_the_same_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
