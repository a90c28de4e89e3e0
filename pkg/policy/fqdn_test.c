/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "policy/fqdn.h"

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define L61 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"

static void a_pattern_has_one_spelling(void **state)
{
	static const struct {
		const char *text, *canonical;
	} t[] = {
		{"api.example.com", "api.example.com"},
		{"API.Example.COM.", "api.example.com"},
		{"*.example.com", "*.example.com"},
		{"*.Example.com.", "*.example.com"},
		{"_sip._tcp.example.com", "_sip._tcp.example.com"},
		{"r3---sn-4g5e.example", "r3---sn-4g5e.example"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"printer", "printer"},
		{"1.example", "1.example"},
		{L63 "." L63 "." L63 "." L61, L63 "." L63 "." L63 "." L61},
	};
	char got[FQDN_MAX + 1];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(fqdn_check(t[i].text, got, NULL), 0);
		assert_string_equal(got, t[i].canonical);
		assert_int_equal(fqdn_check(got, got, NULL), 0);
	}
}

static void what_is_no_pattern_is_refused_with_a_reason(void **state)
{
	static const char shape[] = "only letters, digits, '-', '_' and dots";
	static const char star[] = "'*' stands only in front, as in '*.example.com'";
	static const char gap[] = "a label between two dots is missing";
	static const char two[] = "at least two labels must stand behind '*.'";
	static const char number[] =
		"an address, or a name that ends in a number; for addresses write cidr";
	static const struct {
		const char *text, *reason;
	} t[] = {
		{"", "empty"},
		{".", "empty"},
		{"..", gap},
		{".example.com", gap},
		{"a..b", gap},
		{"example.com..", gap},
		{"*", star},
		{"*.", star},
		{"**.example.com", star},
		{"*.*.example.com", star},
		{"a.*.example.com", star},
		{"*a.example.com", star},
		{"*.com", two},
		{"*.com.", two},
		{"a b.example", shape},
		{"b\xc3\xbc"
		 "cher.example",
		 shape},
		{"https://example.com", shape},
		{"example.com:443", shape},
		{"10.0.0.1", number},
		{"2001:db8::1", shape},
		{"*.0.0.1", number},
		{L63 "a.example", "a label is longer than 63 characters"},
		{L63 "." L63 "." L63 "." L61 "a", "longer than 253 characters"},
	};
	char got[FQDN_MAX + 1];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *reason = "";

		assert_int_equal(fqdn_check(t[i].text, got, &reason), -EINVAL);
		assert_string_equal(reason, t[i].reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_has_one_spelling),
		cmocka_unit_test(what_is_no_pattern_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
