/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/shares.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/abi.h"

#define CONNECTIONS (1u << NFT_CONNECTIONS)
#define PORTS	    (1u << NFT_PORTS)
#define MAX	    256

static struct table {
	struct ct_holding list[MAX];
	size_t n;
	uint32_t last_id;
} t;

static struct addr pod_addr(uint32_t pod)
{
	const uint8_t v4[] = {10, 0, (uint8_t)(pod >> 8), (uint8_t)pod};

	return addr_from_v4(v4);
}

/* So many connections of a pod, each from a port of its own. */
static void opens(uint32_t pod, uint16_t zone, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		t.list[t.n++] = (struct ct_holding){.pod = pod_addr(pod),
						    .id = ++t.last_id,
						    .zone = zone,
						    .port = (uint16_t)(1000 + i),
						    .proto = 6};
}

static const struct share_limit limits[] = {
	{.id = 16, .most = {[NFT_CONNECTIONS] = 20, [NFT_PORTS] = 10}},
	{.id = 18, .most = {[NFT_CONNECTIONS] = 100}},
};

static void looks(struct shares *s)
{
	shares_count(s, limits, sizeof(limits) / sizeof(*limits), t.list, t.n);
	t = (struct table){.last_id = t.last_id};
}

static const struct share *share_of(const struct shares *s, uint32_t pod, uint32_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (addr_eq(s->list[i].pod, pod_addr(pod)) && s->list[i].of.id == id)
			return &s->list[i];
	return NULL;
}

static void holds(const struct shares *s, uint32_t pod, uint32_t id, uint32_t connections,
		  uint32_t ports)
{
	const struct share *k = share_of(s, pod, id);

	assert_non_null(k);
	assert_int_equal(k->used[NFT_CONNECTIONS], connections);
	assert_int_equal(k->used[NFT_PORTS], ports);
}

static void what_a_pod_has_is_counted_by_address_wherever_that_is(void **state)
{
	struct shares s = {0};

	opens(1, 16, 5);
	opens(1, SLU_ID_MAX + 18, 7);
	opens(2, SLU_ID_MAX + 16, 2);
	opens(2, 17, 9); /* without limits */
	opens(2, 0, 9);
	looks(&s);
	assert_int_equal(s.n, 3);
	holds(&s, 1, 16, 5, 5);
	holds(&s, 1, 18, 7, 7);
	holds(&s, 2, 16, 2, 2);
	looks(&s);
	assert_int_equal(s.n, 0);
	shares_done(&s);
}

static void a_port_counts_once_and_an_entry_that_is_told_twice_too(void **state)
{
	struct shares s = {0};

	opens(1, 16, 4);
	for (size_t i = 0; i < 4; i++) {
		t.list[4 + i] = t.list[i];
		t.list[8 + i] = t.list[i]; /* to another remote */
		t.list[8 + i].id += 100;
	}
	t.n = 12;
	t.list[t.n] = t.list[0];
	t.list[t.n].proto = 17;
	t.list[t.n++].id = 1000;
	looks(&s);
	holds(&s, 1, 16, 9, 5);
	shares_done(&s);
}

static void of_an_address_that_moved_the_zone_with_more_counts(void **state)
{
	struct shares s = {0};

	opens(1, 16, 3);
	opens(1, SLU_ID_MAX + 16, 8);
	looks(&s);
	assert_int_equal(s.n, 1);
	holds(&s, 1, 16, 8, 8);
	shares_done(&s);
}

static void nobody_has_more_than_the_limit(void **state)
{
	struct shares s = {0};

	opens(1, 18, 120);
	opens(2, 16, 30);
	looks(&s);
	holds(&s, 1, 18, 100, 120);
	holds(&s, 2, 16, 20, 10);
	shares_done(&s);
}

/* The pod has so many; is it near, and is that told now? */
static void step(struct shares *s, uint32_t n, unsigned int near, unsigned int told)
{
	opens(1, 16, n);
	looks(s);
	assert_int_equal(share_of(s, 1, 16)->near, near);
	assert_int_equal(share_of(s, 1, 16)->log, told);
	assert_int_equal(share_of(s, 1, 16)->tell, told);
	assert_int_equal(shares_near(s, NFT_CONNECTIONS), !!(near & CONNECTIONS));
	assert_int_equal(shares_near(s, NFT_PORTS), !!(near & PORTS));
	s->list[0].log = s->list[0].tell = 0;
}

static void eighty_percent_is_told_once_until_it_is_well_below(void **state)
{
	struct shares s = {0};

	step(&s, 7, 0, 0);
	step(&s, 8, PORTS, PORTS);
	step(&s, 15, PORTS, 0);
	step(&s, 16, PORTS | CONNECTIONS, CONNECTIONS);
	step(&s, 20, PORTS | CONNECTIONS, 0);
	step(&s, 15, PORTS | CONNECTIONS, 0);
	step(&s, 16, PORTS | CONNECTIONS, 0);
	step(&s, 14, PORTS, 0);
	step(&s, 16, PORTS | CONNECTIONS, CONNECTIONS);
	step(&s, 7, PORTS, 0);
	step(&s, 6, 0, 0);
	step(&s, 8, PORTS, PORTS);
	shares_done(&s);
}

static void what_is_not_told_yet_is_told_as_long_as_it_is_true(void **state)
{
	struct shares s = {0};

	opens(1, 18, 80);
	looks(&s);
	opens(1, 18, 90);
	looks(&s);
	assert_int_equal(s.list[0].tell, CONNECTIONS);
	assert_true(shares_untold(&s));
	opens(1, 18, 10);
	looks(&s);
	assert_int_equal(s.list[0].tell, 0);
	assert_false(shares_untold(&s));
	shares_done(&s);
}

static void a_crowd_is_told_by_its_number(void **state)
{
	struct shares s = {0};
	size_t told = 0;

	for (uint32_t pod = 0; pod < SHARES_TOLD + 5; pod++)
		opens(pod, 16, 8);
	looks(&s);
	for (size_t i = 0; i < s.n; i++)
		told += s.list[i].tell == PORTS;
	assert_int_equal(told, SHARES_TOLD);
	assert_int_equal(s.more, 5);
	assert_int_equal(shares_near(&s, NFT_PORTS), SHARES_TOLD + 5);
	shares_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_pod_has_is_counted_by_address_wherever_that_is),
		cmocka_unit_test(a_port_counts_once_and_an_entry_that_is_told_twice_too),
		cmocka_unit_test(of_an_address_that_moved_the_zone_with_more_counts),
		cmocka_unit_test(nobody_has_more_than_the_limit),
		cmocka_unit_test(eighty_percent_is_told_once_until_it_is_well_below),
		cmocka_unit_test(what_is_not_told_yet_is_told_as_long_as_it_is_true),
		cmocka_unit_test(a_crowd_is_told_by_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
