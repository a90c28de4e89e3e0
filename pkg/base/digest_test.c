/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digest.h"

/* What Python's hashlib.blake2b(…, digest_size=8) says of 0, 1, 2, …, 250, 0, 1, … */
static const struct {
	size_t len;
	uint64_t digest;
} rows[] = {
	{0, 0xb4b2797457a0a6e4},
	{128, 0x827e61b6f13dd1c2},
	{129, 0xa650536d7ae467f6},
	{1000, 0x7f5738a836a89c66},
};

static uint64_t in_pieces(const uint8_t *p, size_t len, size_t piece)
{
	struct digest d;

	digest_begin(&d);
	for (size_t i = 0; i < len; i += piece)
		digest_add(&d, p + i, len - i < piece ? len - i : piece);
	return digest_end(&d);
}

static void is_blake2b_in_whatever_pieces(void **state)
{
	static const size_t pieces[] = {1, 7, 127, 128, 129, 1000};
	uint8_t bytes[1000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 251);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++)
			assert_true(in_pieces(bytes, rows[i].len, pieces[k]) == rows[i].digest);
	assert_true(in_pieces((const uint8_t *)"abc", 3, 2) == 0x5995d533d814bbd8);
}

static void a_string_ends_where_it_ends(void **state)
{
	static const char *const pairs[][2] = {
		{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {NULL, "abc"}};
	uint64_t seen[4];

	for (int i = 0; i < 4; i++) {
		struct digest d;

		digest_begin(&d);
		digest_str(&d, pairs[i][0]);
		digest_str(&d, pairs[i][1]);
		seen[i] = digest_end(&d);
		for (int k = 0; k < i; k++)
			assert_true(seen[k] != seen[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_blake2b_in_whatever_pieces),
		cmocka_unit_test(a_string_ends_where_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
