/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "inet/cidr.h"
#include "testkit/addr_fixture.h"

static const struct {
	const char *text;
	int want;
	const char *emit;
} parse_cases[] = {
	{"10.0.0.0/8", 0, "10.0.0.0/8"},
	{"0.0.0.0/0", 0, "0.0.0.0/0"},
	{"::/0", 0, "::/0"},
	{"2001:db8::/32", 0, "2001:db8::/32"},
	{"192.0.2.7/32", 0, "192.0.2.7/32"},
	{"10.0.0.1/8", CIDR_HOST_BITS, NULL},
	{"2001:db8::1/32", CIDR_HOST_BITS, NULL},
	{"10.0.0.0", CIDR_BAD_LEN, NULL},
	{"10.0.0.0/", CIDR_BAD_LEN, NULL},
	{"10.0.0.0/33", CIDR_BAD_LEN, NULL},
	{"10.0.0.0/08", CIDR_BAD_LEN, NULL},
	{"10.0.0.0/+8", CIDR_BAD_LEN, NULL},
	{"10.0.0.0/8 ", CIDR_BAD_LEN, NULL},
	{"10.0.0/8", CIDR_BAD_ADDR, NULL},
	{"::ffff:10.0.0.0/104", CIDR_BAD_ADDR, NULL},
	{"", CIDR_BAD_ADDR, NULL},
	{"bank.example/8", CIDR_BAD_ADDR, NULL},
	{"fe80::1%eth0/64", CIDR_BAD_ADDR, NULL},
};

static void parses_and_refuses_prefixes(void **state)
{
	for (size_t i = 0; i < sizeof(parse_cases) / sizeof(parse_cases[0]); i++) {
		struct cidr c;

		assert_int_equal(cidr_parse(parse_cases[i].text, &c), parse_cases[i].want);
		if (parse_cases[i].emit)
			assert_string_equal(cidr_str(c), parse_cases[i].emit);
	}
}

static void the_ipv6_default_does_not_contain_ipv4(void **state)
{
	assert_false(cidr_contains(cidr_of("::/0"), cidr_of("10.0.0.0/8")));
	assert_true(cidr_contains(cidr_of("::/0"), cidr_of("2001:db8::/32")));
	assert_true(cidr_contains(cidr_of("0.0.0.0/0"), cidr_of("10.0.0.0/8")));
	assert_false(cidr_contains(cidr_of("10.0.0.0/8"), cidr_of("0.0.0.0/0")));
	assert_true(cidr_contains(cidr_of("10.0.0.0/8"), cidr_of("10.0.0.0/8")));
}

static void a_prefix_ends_where_its_last_address_is(void **state)
{
	assert_string_equal(addr_str(cidr_last(cidr_of("10.0.0.0/9"))), "10.127.255.255");
	assert_string_equal(addr_str(cidr_last(cidr_of("2001:db8::/127"))), "2001:db8::1");
}

/* IPv4 lies within IPv6's order: what holds an IPv6 address may begin before it. */
static void a_list_holds_what_one_of_its_prefixes_holds(void **state)
{
	const struct cidr list[] = {cidr_of("::/0"), cidr_of("10.0.0.0/8"),
				    cidr_of("172.16.0.0/12")};
	static const struct {
		const char *addr;
		size_t n; /* of the list */
		bool held;
	} rows[] = {
		{"10.255.255.255", 3, true}, {"11.0.0.0", 3, false},	{"9.255.255.255", 3, false},
		{"172.31.0.1", 3, true},     {"172.31.0.1", 2, false},	{"2001:db8::1", 3, true},
		{"2001:db8::1", 1, true},    {"2001:db8::1", 0, false}, {"::1", 3, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (cidrs_hold(list, rows[i].n, addr_of(rows[i].addr)) != rows[i].held)
			fail_msg("%s of %zu", rows[i].addr, rows[i].n);
}

/* All pairs of what lies in, beside and around one another, in both families. */
static void the_outermost_cover_what_any_of_the_list_contains(void **state)
{
	static const char *const texts[] = {
		"::/0",		 "::/64",	  "10.0.0.0/8",	     "10.0.0.0/24",
		"10.0.0.0/24",	 "10.0.1.0/32",	  "10.255.0.0/16",   "11.0.0.0/32",
		"2001:db8::/32", "2001:db8::/64", "2001:db9::1/128",
	};
	enum { N = sizeof(texts) / sizeof(texts[0]) };

	for (unsigned int set = 0; set < 1u << N; set++) {
		struct cidr list[N], outermost[N];
		size_t n = 0, kept;

		for (size_t i = 0; i < N; i++) /* sorted as they stand, IPv4 in its place */
			if (set >> i & 1)
				list[n++] = cidr_of(texts[i]);
		memcpy(outermost, list, n * sizeof(list[0]));
		kept = cidrs_outermost(outermost, n);
		for (size_t i = 0; i < N; i++) {
			struct cidr c = cidr_of(texts[i]);
			bool covered = false;

			for (size_t k = 0; k < n; k++)
				covered = covered || cidr_contains(list[k], c);
			if (cidrs_cover(outermost, kept, c) != covered)
				fail_msg("set %x: %s", set, texts[i]);
		}
	}
}

static void ranges_count_and_index_over_byte_borders(void **state)
{
	struct addr_range r;
	const char *why = NULL;

	assert_int_equal(addr_range_parse("10.0.0.250-10.0.1.5", &r, &why), 0);
	assert_int_equal(addr_range_count(r), 12);
	assert_string_equal(addr_str(addr_range_at(r, 6)), "10.0.1.0");
	assert_int_equal(addr_range_parse("2001:db8::/64", &r, &why), 0);
	assert_true(addr_range_count(r) == UINT64_MAX); /* 2^64 saturates */
	assert_int_equal(addr_range_parse("2001:db8::fffe-2001:db8::1:1", &r, &why), 0);
	assert_int_equal(addr_range_count(r), 4);
	assert_string_equal(addr_str(addr_range_at(r, 3)), "2001:db8::1:1");
	assert_int_not_equal(addr_range_parse("10.0.0.9-10.0.0.1", &r, &why), 0);
	assert_string_equal(why, "range ends before it begins");
	assert_int_not_equal(addr_range_parse("10.0.0.9-::1", &r, &why), 0);
	assert_string_equal(why, "range mixes IPv4 and IPv6");
}

static void addresses_know_their_kind(void **state)
{
	struct addr a;

	assert_int_equal(addr_parse("169.254.169.254", &a), 0);
	assert_true(addr_is_link_local(a));
	assert_int_equal(addr_parse("febf::1", &a), 0);
	assert_true(addr_is_link_local(a));
	assert_int_equal(addr_parse("255.255.255.255", &a), 0);
	assert_true(addr_is_multicast(a));
	assert_int_equal(addr_parse("0.0.0.0", &a), 0);
	assert_true(addr_is_unspecified(a));
	assert_false(addr_is_zero(a));
	assert_int_not_equal(addr_parse("::ffff:10.0.0.1", &a), 0);
	assert_int_not_equal(addr_parse("10.0.0.1 ", &a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_and_refuses_prefixes),
		cmocka_unit_test(the_ipv6_default_does_not_contain_ipv4),
		cmocka_unit_test(a_prefix_ends_where_its_last_address_is),
		cmocka_unit_test(a_list_holds_what_one_of_its_prefixes_holds),
		cmocka_unit_test(the_outermost_cover_what_any_of_the_list_contains),
		cmocka_unit_test(ranges_count_and_index_over_byte_borders),
		cmocka_unit_test(addresses_know_their_kind),
	};

	return cmocka_run_group_tests_name("cidr", tests, NULL, NULL);
}
