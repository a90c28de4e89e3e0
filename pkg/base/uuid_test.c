/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void what_is_read_is_written_again(void **state)
{
	static const char *const texts[] = {"40e7238c-2763-4821-bf89-06d84c11abc5",
					    "00000000-0000-0000-0000-000000000000",
					    "ffffffff-ffff-ffff-ffff-fffffffffff0"};

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		uint8_t uuid[16];
		char buf[UUID_STRLEN];

		assert_true(uuid_parse(texts[i], uuid));
		assert_string_equal(uuid_emit(uuid, buf), texts[i]);
	}
}

static void what_would_be_written_otherwise_is_none(void **state)
{
	static const char *const texts[] = {
		"",
		"u-1",
		"40e7238c-2763-4821-bf89-06d84c11abc",
		"40e7238c-2763-4821-bf89-06d84c11abc55",
		"40E7238C-2763-4821-BF89-06D84C11ABC5",
		"40e7238c-2763-4821-bf89-06d84c11abcg",
		"40e7238c02763-4821-bf89-06d84c11abc5",
		"{40e7238c-2763-4821-bf89-06d84c11abc}",
		"40e7238c27634821bf8906d84c11abc5",
	};

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		uint8_t uuid[16];

		assert_false(uuid_parse(texts[i], uuid));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_written_again),
		cmocka_unit_test(what_would_be_written_otherwise_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
