/* SPDX-License-Identifier: Apache-2.0 */
/* Room in "named": whoever wants all of it takes nothing from the others. */
#include <linux/pkt_cls.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "testkit/dns_world.h"
#include "testkit/netns_fixture.h"

#define ROOM   (SLU_MAX_NAMED - 1024) /* shares.bpf.h */
#define AT_ONE 120		      /* addresses in an answer */
#define SHOP   1		      /* namespaces */
#define BANK   2
#define EVIL   3
#define WORSE  4

static char *nth(uint32_t block, uint32_t i, char text[32])
{
	snprintf(text, 32, "%u.%u.%u.%u", block, i >> 16 & 255, i >> 8 & 255, i & 255);
	return text;
}

static void learns(uint32_t tenant, const char *name, const char *addr, uint32_t ttl)
{
	struct dns_message m;

	names_tenant(tenant);
	dns_answer(&m, name);
	dns_addr(&m, NULL, addr, ttl);
	names_tell(&m);
}

static bool knows(uint32_t tenant, const char *addr)
{
	names_tenant(tenant);
	return names_of(addr);
}

/* Addresses [from, to) of block.0.0.0/8, all under names below example.net. */
static void flood(uint32_t tenant, uint32_t block, uint32_t from, uint32_t to)
{
	names_tenant(tenant);
	for (uint32_t i = from; i < to; i += AT_ONE) {
		struct dns_message m;
		char text[32];

		snprintf(text, sizeof(text), "n%u.example.net", i);
		dns_answer(&m, text);
		for (uint32_t k = i; k < i + AT_ONE && k < to; k++)
			dns_addr(&m, NULL, nth(block, k, text), 3600);
		names_tell(&m);
	}
}

/* What a namespace knows; expire: and make it a second too old. */
static uint32_t known_by(uint32_t tenant, bool expire)
{
	__cleanup_free struct slu_named_key *keys = NULL;
	__cleanup_free struct slu_named *values = NULL;
	struct err e = {0};
	uint32_t known = 0;
	size_t n = 0;

	expect_ok(
		bpf_map_dump(world_pins(), BPF_MAP_NAMED, (void **)&keys, (void **)&values, &n, &e),
		&e);
	for (size_t i = 0; i < n; i++) {
		if (keys[i].tenant != tenant)
			continue;
		known++;
		for (size_t k = 0; expire && k < SLU_MAX_NAMES_AT; k++)
			values[i].at[k].until = values[i].at[k].name ? names_now() - 1 : 0;
		if (expire)
			expect_ok(bpf_map_change(world_pins(), BPF_MAP_NAMED, &keys[i], &values[i],
						 &e),
				  &e);
	}
	return known;
}

/* In this order: each finds the map as the one before has left it. */

static void a_flood_pushes_out_what_the_same_namespace_knows_and_nothing_else(void **state)
{
	uint64_t pushed, full;
	uint32_t known;
	char text[32];

	names_world();
	pushed = names_counted(SLU_NAMES_PUSHED);
	full = names_counted(SLU_NAMES_FULL);
	for (uint32_t i = 1; i <= 100; i++) /* the first to come are the oldest of all */
		learns(SHOP, "api.example.com", nth(101, i, text), 300);
	flood(EVIL, 103, 0, 70000);
	known = known_by(EVIL, false);
	assert_in_range(known, ROOM / 2 - 200, ROOM / 2 + 1);
	assert_int_equal(names_counted(SLU_NAMES_PUSHED) - pushed, 70000 - known);
	for (uint32_t i = 1; i <= 100; i++)
		assert_true(knows(SHOP, nth(101, i, text)));
	/* of its own it has what it learned last */
	for (uint32_t i = 0; i < 70000; i += 7)
		assert_int_equal(knows(EVIL, nth(103, i, text)), i >= 70000 - known);
	/* and the others may still learn */
	learns(SHOP, "api.example.com", "101.1.1.1", 300);
	learns(BANK, "api.example.com", "102.1.1.1", 300);
	assert_true(knows(SHOP, "101.1.1.1"));
	assert_true(knows(BANK, "102.1.1.1"));
	assert_int_equal(names_counted(SLU_NAMES_FULL), full);
}

static void two_that_want_all_of_it_get_a_third_each(void **state)
{
	uint32_t first, second;
	char text[32];

	flood(WORSE, 104, 0, 30000);
	flood(EVIL, 103, 100000, 105000);
	flood(WORSE, 104, 30000, 60000);
	first = known_by(EVIL, false);
	second = known_by(WORSE, false);
	print_message("%u and %u of %u\n", first, second, ROOM);
	assert_true(first >= ROOM / 3 - 200 && second >= ROOM / 4);
	assert_true(first + second < ROOM - ROOM / 5);
	for (uint32_t i = 1; i <= 100; i++)
		assert_true(knows(SHOP, nth(101, i, text)));
	flood(BANK, 102, 0, 10000); /* an honest one with a lot */
	assert_int_equal(known_by(BANK, false), 10000 + 1);
	for (uint32_t i = 0; i < 10000; i += 9)
		assert_true(knows(BANK, nth(102, i, text)));
}

static void what_was_learned_again_is_not_the_oldest_any_more(void **state)
{
	char text[32];

	flood(EVIL, 103, 200000, 200010);
	flood(EVIL, 103, 300000, 310000);
	learns(EVIL, "old.example.net", nth(103, 200003, text), 300);
	flood(EVIL, 103, 400000, 400000 + known_by(EVIL, false) - 1);
	assert_true(knows(EVIL, nth(103, 200003, text)));
	assert_false(knows(EVIL, nth(103, 200004, text)));
}

static void what_has_expired_goes_before_anything_else(void **state)
{
	uint64_t expired = names_counted(SLU_NAMES_EXPIRED), pushed;
	uint32_t n = known_by(WORSE, true);
	char text[32];

	for (uint32_t then = names_now(); names_now() == then;)
		usleep(10000); /* it is not looked for twice in a second */
	pushed = names_counted(SLU_NAMES_PUSHED);
	flood(EVIL, 103, 500000, 501000);
	assert_in_range(names_counted(SLU_NAMES_EXPIRED) - expired, n, n + 200);
	assert_int_equal(names_counted(SLU_NAMES_PUSHED), pushed);
	assert_int_equal(known_by(WORSE, false), 0);
	for (uint32_t i = 500000; i < 501000; i++)
		assert_true(knows(EVIL, nth(103, i, text)));
}

static void an_address_that_two_namespaces_know_is_there_for_each(void **state)
{
	names_world();
	learns(SHOP, "api.example.com", "105.1.1.1", 300);
	assert_true(knows(SHOP, "105.1.1.1"));
	assert_false(knows(BANK, "105.1.1.1"));
	learns(BANK, "edge.cdn.example.net", "105.1.1.1", 100);
	assert_int_equal(names_left("105.1.1.1", 1), 0);
	names_tenant(SHOP);
	assert_int_equal(names_left("105.1.1.1", 4), 0);
	assert_true(names_left("105.1.1.1", 1));
}

static void names_that_only_others_have_take_no_place(void **state)
{
	struct slu_policy policy;
	uint32_t one = 1;
	struct err e = {0};

	names_world();
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_POLICIES, &one, &policy, &e), &e);
	names_class(&policy, 2, 0); /* "*.example.com" is now a name of others */
	learns(SHOP, "api.example.com", "105.1.1.2", 300);
	assert_int_equal(names_of("105.1.1.2"), 1);
	learns(SHOP, "www.example.com", "105.1.1.3", 300);
	assert_int_equal(names_of("105.1.1.3"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_pushes_out_what_the_same_namespace_knows_and_nothing_else),
		cmocka_unit_test(two_that_want_all_of_it_get_a_third_each),
		cmocka_unit_test(what_was_learned_again_is_not_the_oldest_any_more),
		cmocka_unit_test(what_has_expired_goes_before_anything_else),
		cmocka_unit_test(an_address_that_two_namespaces_know_is_there_for_each),
		cmocka_unit_test(names_that_only_others_have_take_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
