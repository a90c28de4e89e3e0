/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settle.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"

static uint64_t once = 7; /* in a segment that is written */

static bool matches(const char *pattern, const char *text)
{
	regex_t re;
	bool yes;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB))
		return false;
	yes = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

static void what_is_used_again_is_there_again(void **state)
{
	__cleanup_free char *kept = mem_strdup("kept");
	uint64_t before = hash_str("a text of the program's own", 1);

	settle_begin();
	once = 8;
	for (int i = 0; i < 3; i++) {
		settle();
		assert_int_equal(hash_str("a text of the program's own", 1), before);
		assert_true(matches("^k[a-e]+pt$", kept));
		assert_false(matches("^k[a-e]+pt$", "kpt"));
		assert_int_equal(once, 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_again_is_there_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
