/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/mac.h"

/* RFC 4231, test cases 1 to 7 but the fourth: a byte again and again, or text; the first 16 bytes
 * of what comes out. */
static const struct vector {
	const char *key, *data;
	size_t key_len, data_len; /* of a byte that is repeated; 0: it is text */
	uint8_t want[MAC_SIZE];
} vectors[] = {
	{"\x0b",
	 "Hi There",
	 20,
	 0,
	 {0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1,
	  0x2b}},
	{"Jefe",
	 "what do ya want for nothing?",
	 0,
	 0,
	 {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75,
	  0xc7}},
	{"\xaa",
	 "\xdd",
	 20,
	 50,
	 {0x77, 0x3e, 0xa9, 0x1e, 0x36, 0x80, 0x0e, 0x46, 0x85, 0x4d, 0xb8, 0xeb, 0xd0, 0x91, 0x81,
	  0xa7}},
	{"\x0c",
	 "Test With Truncation",
	 20,
	 0,
	 {0xa3, 0xb6, 0x16, 0x74, 0x73, 0x10, 0x0e, 0xe0, 0x6e, 0x0c, 0x79, 0x6c, 0x29, 0x55, 0x55,
	  0x2b}},
	{"\xaa",
	 "Test Using Larger Than Block-Size Key - Hash Key First",
	 131,
	 0,
	 {0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f, 0x0d, 0x8a, 0x26, 0xaa, 0xcb, 0xf5, 0xb7,
	  0x7f}},
	{"\xaa",
	 "This is a test using a larger than block-size key and a larger than block-size data. The "
	 "key needs to be hashed before being used by the HMAC algorithm.",
	 131,
	 0,
	 {0x9b, 0x09, 0xff, 0xa7, 0x1b, 0x94, 0x2f, 0xcb, 0x27, 0x63, 0x5f, 0xbc, 0xd5, 0xb0, 0xe9,
	  0x44}},
};

static size_t spread(const char *text, size_t times, uint8_t ret[256])
{
	size_t n = times ?: strlen(text);

	for (size_t i = 0; i < n; i++)
		ret[i] = (uint8_t)text[times ? 0 : i];
	return n;
}

/* In one part, in two, and with an empty one between them. */
static void vector_check(const struct vector *v)
{
	uint8_t key[256], data[256], tag[MAC_SIZE];
	size_t key_len = spread(v->key, v->key_len, key), n = spread(v->data, v->data_len, data);
	const struct iovec whole = {data, n};
	const struct iovec parts[] = {{data, 3}, {NULL, 0}, {data + 3, n - 3}};

	mac_make(key, key_len, &whole, 1, tag);
	assert_memory_equal(tag, v->want, MAC_SIZE);
	mac_make(key, key_len, parts, 3, tag);
	assert_true(mac_equal(tag, v->want));
}

static void tags_are_those_of_the_rfc(void **state)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		vector_check(&vectors[i]);
}

/* More than are kept, each used again after others. */
static void each_key_has_its_own_tags_in_any_order(void **state)
{
	const size_t n = sizeof(vectors) / sizeof(vectors[0]);

	for (size_t i = 0; i < 200; i++) {
		vector_check(&vectors[i * 7 % n]);
		vector_check(&vectors[i % n]);
		vector_check(&vectors[i * 7 % n]);
	}
}

static void a_key_is_its_whole_length(void **state)
{
	const struct iovec data = {(void *)(uintptr_t) "what", 4};
	uint8_t a[MAC_SIZE], b[MAC_SIZE];

	/* behind it come zeros: HMAC itself cannot tell those from a key that ends in them */
	mac_make("one key of them", 15, &data, 1, a);
	mac_make("one key of them!", 16, &data, 1, b);
	assert_false(mac_equal(a, b));
	mac_make("one key of them", 15, &data, 1, b);
	assert_true(mac_equal(a, b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_are_those_of_the_rfc),
		cmocka_unit_test(each_key_has_its_own_tags_in_any_order),
		cmocka_unit_test(a_key_is_its_whole_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
