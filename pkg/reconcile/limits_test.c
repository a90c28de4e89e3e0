/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits against a kernel that counts as connlimit does: what passed under a key is counted there
 * as long as it lives, and nothing else is. Connections begin and end at every moment, also
 * between a look and the transaction that follows it.
 */
#include "reconcile/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define PODS	 4
#define ID	 16
#define MAX_KEYS 5
#define MAX_OPEN 400

struct open {
	uint32_t id, pod;
	uint32_t keys[MAX_KEYS];
	size_t n_keys;
};

static struct world {
	struct limits l;
	uint32_t most; /* wanted */
	enum nft_limit_kind kind;
	/* in force */
	bool table;
	struct nft_limit limit;
	struct nft_room *rooms;
	size_t n_rooms;
	/* conntrack */
	struct open open[MAX_OPEN];
	size_t n;
	uint32_t last_id;
	uint64_t seed;
	bool loose; /* connections came by themselves, and no pass has settled since */
} w;

static uint32_t below(uint32_t n)
{
	w.seed = w.seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w.seed >> 33) % n;
}

static struct addr pod_addr(uint32_t pod)
{
	const uint8_t v4[] = {10, 0, 0, (uint8_t)(pod + 1)};

	return addr_from_v4(v4);
}

static struct addr seen(void)
{
	const uint8_t v4[] = {203, 0, 113, 1};

	return addr_from_v4(v4);
}

static uint32_t held_by(uint32_t pod, uint32_t key)
{
	uint32_t n = 0;

	for (size_t i = 0; i < w.n; i++) {
		bool has = !key;

		for (size_t k = 0; k < w.open[i].n_keys; k++)
			has |= w.open[i].keys[k] == key;
		n += has && w.open[i].pod == pod;
	}
	return n;
}

/* ---- the kernel ---- */

static void appear(uint32_t pod, const struct open *as)
{
	if (w.n == MAX_OPEN)
		return;
	w.open[w.n] = *as;
	w.open[w.n].id = ++w.last_id;
	w.open[w.n++].pod = pod;
}

static bool passes(uint32_t pod, struct open *c, uint32_t key, uint32_t most)
{
	c->keys[c->n_keys++] = key;
	return held_by(pod, key) < most;
}

static bool begins(uint32_t pod)
{
	uint32_t numbers[] = {w.limit.most[w.kind], w.limit.before[w.kind]};
	struct open c = {0};
	bool ok = w.table;

	for (int i = 0; i < 2; i++)
		if (numbers[i])
			ok &= passes(pod, &c, numbers[i], numbers[i]);
	for (size_t i = 0; i < w.n_rooms; i++)
		if (addr_eq(w.rooms[i].pod, pod_addr(pod)))
			ok &= passes(pod, &c, 0x80000000u | w.rooms[i].serial, w.rooms[i].more);
	if (!ok)
		return false;
	appear(pod, &c);
	if (!w.loose && numbers[0])
		assert_true(held_by(pod, 0) <= (numbers[1] > numbers[0] ? numbers[1] : numbers[0]));
	return true;
}

static void ends(void)
{
	if (w.n) {
		size_t i = below((uint32_t)w.n);

		w.open[i] = w.open[--w.n];
	}
}

/* What pods do meanwhile. */
static void time_passes(uint32_t busy)
{
	for (uint32_t i = below(busy + 1); i > 0; i--) {
		if (below(3))
			begins(below(PODS));
		else
			ends();
	}
}

/* ---- the daemon ---- */

static void look(void)
{
	__cleanup_free struct ct_holding *list = mem_alloc0((w.n + 1) * sizeof(*list));

	for (size_t i = 0; i < w.n; i++)
		list[i] = (struct ct_holding){.pod = pod_addr(w.open[i].pod),
					      .seen = seen(),
					      .id = w.open[i].id,
					      .port = (uint16_t)w.open[i].id,
					      .proto = 6};
	limits_step(&w.l, list, w.n);
}

static void pass(uint32_t busy)
{
	const struct nft_address address = {.id = ID, .addr = seen()};
	struct nft_limit limit = {.id = ID};
	struct nft_model m = {
		.addresses = &address, .n_addresses = 1, .limits = &limit, .n_limits = 1};
	struct nft_room *rooms;
	size_t n;

	limit.most[w.kind] = w.most;
	limits_want(&w.l, &m);
	if (!w.table)
		limits_lost(&w.l);
	look();
	n = limits_rooms(&w.l, &rooms);
	limits_befores(&w.l, &limit, 1);
	time_passes(busy);
	free(w.rooms);
	w.rooms = rooms;
	w.n_rooms = n;
	w.limit = limit;
	w.table = true;
	time_passes(busy);
	limits_carried(&w.l);
	if (limits_settled(&w.l))
		w.loose = false;
}

static void restart(void)
{
	struct nft_limits have = {&w.limit, w.table, w.rooms, w.table ? w.n_rooms : 0};

	limits_done(&w.l);
	limits_found(&w.l, &have);
}

static void table_deleted(void)
{
	w.table = false;
	for (size_t i = 0; i < w.n; i++)
		w.open[i].n_keys = 0;
}

static void comes(void)
{
	uint32_t pod = below(PODS);

	w.loose = true;
	appear(pod, &(struct open){0});
	limits_came(&w.l, seen());
}

static void world_begin(uint64_t seed, enum nft_limit_kind kind, uint32_t most)
{
	limits_done(&w.l);
	free(w.rooms);
	w = (struct world){.seed = seed, .kind = kind, .most = most};
}

static int teardown(void **state)
{
	world_begin(0, NFT_CONNECTIONS, 0);
	return 0;
}

/* So many in all, and no more. */
static void may_have(uint32_t pod, uint32_t n)
{
	while (begins(pod))
		;
	assert_int_equal(held_by(pod, 0), n);
}

static void has(uint32_t pod, uint32_t n)
{
	while (held_by(pod, 0) < n)
		assert_true(begins(pod));
}

static void passes_until_settled(void)
{
	int tries = 0;

	do
		pass(0);
	while (!limits_settled(&w.l) && ++tries < 10);
	assert_true(limits_settled(&w.l));
}

static void drop(uint32_t n)
{
	for (; n; n--)
		w.open[0] = w.open[--w.n];
}

/* ---- tests ---- */

static void what_began_while_the_kernel_counts_needs_no_room(void **state)
{
	world_begin(1, NFT_CONNECTIONS, 20);
	passes_until_settled();
	has(0, 15);
	pass(0);
	assert_int_equal(w.n_rooms, 0);
	restart();
	passes_until_settled();
	assert_int_equal(w.n_rooms, 0);
	may_have(0, 20);
}

static void over_an_edit_the_rest_is_what_is_left(void **state)
{
	world_begin(1, NFT_PORTS, 20);
	passes_until_settled();
	has(0, 15);
	w.most = 30;
	pass(0);
	assert_int_equal(w.limit.before[NFT_PORTS], 20);
	passes_until_settled();
	assert_int_equal(w.limit.before[NFT_PORTS], 0);
	may_have(0, 30);
	w.most = 35;
	pass(0);
	w.most = 18; /* and once more, before the first was through */
	passes_until_settled();
	may_have(0, 30);
	drop(20);
	passes_until_settled();
	may_have(0, 18);
	may_have(1, 18);
}

static void what_closes_is_given_back_until_no_room_is_left(void **state)
{
	world_begin(1, NFT_CONNECTIONS, 20);
	passes_until_settled();
	has(0, 15);
	table_deleted();
	assert_false(begins(0));
	passes_until_settled();
	may_have(0, 20);
	for (int i = 0; i < 7; i++) {
		drop(3);
		for (int k = 0; k < 2; k++)
			passes_until_settled();
		may_have(0, 20);
	}
	passes_until_settled();
	drop(w.n);
	passes_until_settled();
	assert_int_equal(w.n_rooms, 0);
}

static void a_restart_begins_where_the_last_one_ended(void **state)
{
	world_begin(1, NFT_CONNECTIONS, 20);
	passes_until_settled();
	has(0, 15);
	table_deleted();
	pass(0);
	restart();
	pass(0);
	restart();
	passes_until_settled();
	drop(5);
	restart();
	passes_until_settled();
	may_have(0, 20);
}

static void what_came_from_another_gateway_counts(void **state)
{
	world_begin(1, NFT_CONNECTIONS, 20);
	passes_until_settled();
	has(0, 4);
	for (int i = 0; i < 10; i++)
		appear(0, &(struct open){0});
	limits_came(&w.l, seen());
	passes_until_settled();
	may_have(0, 20);
}

static void a_limit_that_is_gone_and_comes_again_counts_what_is_open(void **state)
{
	world_begin(1, NFT_CONNECTIONS, 20);
	passes_until_settled();
	has(0, 15);
	w.most = 0;
	passes_until_settled();
	for (int i = 0; i < 2; i++)
		assert_true(begins(0));
	w.most = 20;
	passes_until_settled();
	may_have(0, 20);
}

static void a_pod_that_begins_more_all_the_time_gets_its_room(void **state)
{
	world_begin(1, NFT_CONNECTIONS, 90);
	passes_until_settled();
	has(0, 10);
	table_deleted();
	pass(0);
	for (int i = 0; i < 6; i++) {
		pass(0);
		for (int k = 0; k < 5; k++)
			begins(0);
	}
	for (size_t i = 0; i < w.n_rooms; i++)
		if (w.l.holders[0].sure >= 0)
			return;
	fail_msg("no room is known to be true");
}

/* A room for every pod that may have one is never wider than what is left. */
static void nobody_has_too_much_whatever_happens(void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		world_begin(seed, seed % 2 ? NFT_CONNECTIONS : NFT_PORTS, 5 + (uint32_t)seed % 40);
		for (int step = 0; step < 150; step++) {
			switch (below(24)) {
			case 0:
				table_deleted();
				break;
			case 1:
				restart();
				break;
			case 2:
				w.most = 3 + below(40);
				break;
			case 3:
				if (seed % 3 == 0 && w.table)
					comes();
				break;
			case 4:
				for (uint32_t i = below(30); i > 0; i--)
					ends();
				break;
			default:
				time_passes(6);
			}
			pass(below(4));
		}
		for (int i = 0; i < 4; i++)
			passes_until_settled();
		for (uint32_t pod = 0; pod < PODS; pod++)
			if (held_by(pod, 0) <= w.most && w.n + w.most < MAX_OPEN)
				may_have(pod, w.most);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_began_while_the_kernel_counts_needs_no_room,
					  teardown),
		cmocka_unit_test_teardown(over_an_edit_the_rest_is_what_is_left, teardown),
		cmocka_unit_test_teardown(what_closes_is_given_back_until_no_room_is_left,
					  teardown),
		cmocka_unit_test_teardown(a_restart_begins_where_the_last_one_ended, teardown),
		cmocka_unit_test_teardown(what_came_from_another_gateway_counts, teardown),
		cmocka_unit_test_teardown(a_limit_that_is_gone_and_comes_again_counts_what_is_open,
					  teardown),
		cmocka_unit_test_teardown(a_pod_that_begins_more_all_the_time_gets_its_room,
					  teardown),
		cmocka_unit_test_teardown(nobody_has_too_much_whatever_happens, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
