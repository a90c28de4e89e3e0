/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void equal_texts_are_one_until_the_last_who_has_it_drops_it(void **state)
{
	char again[] = "team-a";
	const char *a = shared_text("team-a"), *b = shared_text(again), *c = shared_text("team-b");

	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_ptr_not_equal(b, again);
	assert_string_equal(c, "team-b");
	assert_int_equal(shared_count(), 2);
	shared_drop(a);
	assert_string_equal(b, "team-a");
	shared_drop(b);
	assert_int_equal(shared_count(), 1);
	shared_drop(c);
	shared_drop(shared_text(NULL));
	assert_int_equal(shared_count(), 0);
}

static void a_room_before_the_bytes_is_filled_once(void **state)
{
	static const char bytes[] = "k\0v";
	bool is_new;
	char *a = shared_bytes(bytes, sizeof(bytes), 16, &is_new), *b;

	assert_true(is_new);
	assert_memory_equal(a + 16, bytes, sizeof(bytes));
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(a[i], 0);
	memset(a, 'x', 16);
	b = shared_bytes(bytes, sizeof(bytes), 16, &is_new);
	assert_false(is_new);
	assert_ptr_equal(a, b);
	assert_int_equal(b[15], 'x');
	shared_drop(a);
	a = shared_bytes(bytes, sizeof(bytes), 8, &is_new); /* another room: not the same */
	assert_true(is_new);
	shared_drop(a);
	shared_drop(b);
	assert_int_equal(shared_count(), 0);
}

static void many_come_and_go(void **state)
{
	static const char *list[3000];
	char text[16];

	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < 3000; i++) {
			snprintf(text, sizeof(text), "n%zu", i / 3);
			list[i] = shared_text(text);
		}
		assert_int_equal(shared_count(), 1000);
		for (size_t i = 0; i < 3000; i++) {
			snprintf(text, sizeof(text), "n%zu", i / 3);
			assert_string_equal(list[i], text);
			shared_drop(list[i]);
		}
		assert_int_equal(shared_count(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_texts_are_one_until_the_last_who_has_it_drops_it),
		cmocka_unit_test(a_room_before_the_bytes_is_filled_once),
		cmocka_unit_test(many_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
