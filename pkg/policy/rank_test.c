/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/rank_fixture.h"

static const char *name_of(const struct world *w, uint32_t node)
{
	return node == RANK_NONE ? "-" : w->names[node];
}

/* ---- agreement ---- */

static void swap_nodes(struct world *w, size_t a, size_t b)
{
	const char *name = w->names[a];
	uint8_t tier = w->tiers[a];

	w->names[a] = w->names[b];
	w->names[b] = name;
	w->tiers[a] = w->tiers[b];
	w->tiers[b] = tier;
	for (size_t k = 0; k < w->in.n_classes; k++) {
		bool *row = &w->eligible[k * w->in.n_nodes], was = row[a];

		row[a] = row[b];
		row[b] = was;
		row = &w->prefers[k * w->in.n_nodes];
		was = row[a];
		row[a] = row[b];
		row[b] = was;
	}
}

static void swap_addrs(struct world *w, size_t a, size_t b)
{
	struct addr addr = w->addrs[a];
	uint32_t class = w->classes[a];

	w->addrs[a] = w->addrs[b];
	w->addrs[b] = addr;
	w->classes[a] = w->classes[b];
	w->classes[b] = class;
}

static void all_nodes_agree_in_whatever_order_they_read(void **state)
{
	static struct world w, other;

	for (seed = 1; seed < 100000; seed += 97) {
		uint64_t was = seed;

		world_init(&w, below(2), below(2));
		world_more(&w);
		other = w;
		other.in.addrs = other.addrs;
		other.in.names = other.names;
		other.in.tiers = other.tiers;
		other.in.classes = w.in.classes ? other.classes : NULL;
		other.in.eligible = w.in.eligible ? other.eligible : NULL;
		other.in.prefers = w.in.prefers ? other.prefers : NULL;
		for (uint32_t i = 1; i < w.in.n_nodes; i++)
			swap_nodes(&other, i, below(i + 1));
		for (uint32_t i = 1; i < w.in.n_addrs; i++)
			swap_addrs(&other, i, below(i + 1));
		assign(&w);
		assign(&other);
		for (size_t i = 0; i < w.in.n_addrs; i++)
			for (size_t k = 0; k < w.in.n_addrs; k++) {
				if (!addr_eq(w.addrs[i], other.addrs[k]))
					continue;
				assert_string_equal(name_of(&w, w.owner[i]),
						    name_of(&other, other.owner[k]));
				assert_string_equal(name_of(&w, w.home[i]),
						    name_of(&other, other.home[k]));
			}
		seed = was;
	}
}

/* ---- balance ---- */

/* The least that the fullest node can come to: can all be placed with so many on each? */
struct flow {
	const struct world *w;
	uint32_t owner[MAX_ADDRS];
	size_t held[MAX_NODES], share;
	bool seen[MAX_NODES];
};

static bool flow_put(struct flow *f, size_t addr)
{
	for (uint32_t n = 0; n < f->w->in.n_nodes; n++) {
		if (f->seen[n] || !open_to(f->w, addr, n))
			continue;
		f->seen[n] = true;
		if (f->held[n] < f->share) {
			f->held[n]++;
			f->owner[addr] = n;
			return true;
		}
		for (size_t a = 0; a < addr; a++)
			if (f->owner[a] == n && flow_put(f, a)) {
				f->owner[addr] = n;
				return true;
			}
	}
	return false;
}

static bool can_be_helped(const struct world *w, size_t share)
{
	struct flow f = {.w = w, .share = share};

	memset(f.owner, 0xff, sizeof(f.owner));
	for (size_t a = 0; a < w->in.n_addrs; a++) {
		memset(f.seen, 0, sizeof(f.seen));
		if (best_tier(w, a) != RANK_AWAY && !flow_put(&f, a))
			return false;
	}
	return true;
}

static bool open_to_any(const struct world *w, size_t node)
{
	for (size_t a = 0; a < w->in.n_addrs; a++)
		if (open_to(w, a, node))
			return true;
	return false;
}

/* ceil(1.25 × mean) of those who are there; and how much the fullest of them holds. */
static size_t share_now(const struct world *w, size_t *ret_most)
{
	size_t held[MAX_NODES] = {0}, placed = 0, nodes = 0;

	*ret_most = 0;
	for (size_t a = 0; a < w->in.n_addrs; a++)
		if (w->owner[a] != RANK_NONE) {
			held[w->owner[a]]++;
			placed++;
		}
	for (size_t n = 0; n < w->in.n_nodes; n++) {
		*ret_most = held[n] > *ret_most ? held[n] : *ret_most;
		nodes += open_to_any(w, n);
	}
	return rank_share(placed, nodes);
}

static void no_node_holds_more_than_its_share_if_that_can_be_helped(void **state)
{
	static struct world w;
	size_t beyond = 0;

	for (seed = 3; seed < 300000; seed += 151) {
		size_t most, share;
		uint64_t was = seed;
		uint8_t tiers[MAX_NODES];

		world_init(&w, below(3) > 0, below(2));
		memcpy(tiers, w.tiers, sizeof(tiers));
		memset(w.tiers, RANK_LIVE, sizeof(w.tiers));
		assign(&w);
		share = share_now(&w, &most);
		for (int now = 0; now < 2; now++) {
			beyond += most > share;
			if (most > share)
				assert_false(can_be_helped(&w, share));
			memcpy(w.tiers, tiers, sizeof(tiers));
			assign(&w);
			/* what a home may hold it may go on to hold */
			if (share_now(&w, &most) > share)
				share = share_now(&w, &most);
		}
		seed = was;
	}
	assert_true(beyond > 0); /* it was put to the test */
}

static void every_address_is_with_one_it_may_go_to_and_only_then_with_nobody(void **state)
{
	static struct world w;

	for (seed = 5; seed < 100000; seed += 101) {
		uint64_t was = seed;

		world_init(&w, true, false);
		assign(&w);
		for (size_t a = 0; a < w.in.n_addrs; a++) {
			if (w.owner[a] == RANK_NONE)
				assert_int_equal(best_tier(&w, a), RANK_AWAY);
			else
				assert_true(open_to(&w, a, w.owner[a]));
		}
		seed = was;
	}
}

/* ---- movement ---- */

static void a_node_that_dies_moves_only_its_own_and_takes_them_back(void **state)
{
	static struct world w;

	for (seed = 7; seed < 200000; seed += 103) {
		uint64_t was = seed;
		uint32_t before[MAX_ADDRS], dead;

		world_init(&w, false, true);
		assign(&w);
		memcpy(before, w.owner, sizeof(before));
		dead = below((uint32_t)w.in.n_nodes);
		w.tiers[dead] = RANK_AWAY;
		assign(&w);
		for (size_t a = 0; a < w.in.n_addrs; a++) {
			assert_int_equal(w.home[a], before[a]);
			if (before[a] != dead)
				assert_int_equal(w.owner[a], before[a]);
		}
		w.tiers[dead] = RANK_JOINING; /* not yet, unless there is nobody else */
		assign(&w);
		for (size_t a = 0; a < w.in.n_addrs && w.in.n_nodes > 1; a++)
			assert_int_not_equal(w.owner[a], dead);
		w.tiers[dead] = RANK_LIVE;
		assign(&w);
		assert_memory_equal(w.owner, before, w.in.n_addrs * sizeof(*before));
		seed = was;
	}
}

static void a_node_that_is_keeping_is_home_and_takes_in_nobody(void **state)
{
	static struct world w;

	for (seed = 9; seed < 200000; seed += 103) {
		uint64_t was = seed;
		uint32_t keeping, dead;

		world_init(&w, false, true);
		keeping = below((uint32_t)w.in.n_nodes);
		dead = below((uint32_t)w.in.n_nodes);
		w.tiers[keeping] = RANK_KEEPING;
		if (dead != keeping)
			w.tiers[dead] = RANK_AWAY;
		assign(&w);
		for (size_t a = 0; a < w.in.n_addrs; a++) {
			if (w.home[a] == keeping) /* whoever else there is */
				assert_int_equal(w.owner[a], keeping);
			else if (best_tier(&w, a) == RANK_LIVE)
				assert_int_not_equal(w.owner[a], keeping);
		}
		seed = was;
	}
}

/* What a node has, by address. */
static bool has(void *data, size_t addr, size_t node)
{
	const uint32_t *owner = data;

	return owner[addr] == node;
}

static void what_is_added_goes_to_who_is_ready_and_nothing_else_moves(void **state)
{
	static struct world w;
	static uint32_t had[MAX_ADDRS], before[MAX_ADDRS];
	size_t added = 0;

	for (seed = 9; seed < 200000; seed += 103) {
		uint64_t was = seed;
		uint32_t keeping;

		world_init(&w, false, true);
		keeping = below((uint32_t)w.in.n_nodes);
		w.tiers[keeping] = RANK_KEEPING;
		assign(&w);
		memcpy(before, w.owner, sizeof(before));
		for (size_t a = 0; a < w.in.n_addrs; a++)
			had[a] = below(4) ? w.owner[a] : RANK_NONE; /* others are new */
		w.in.has = has;
		w.in.data = had;
		assign(&w);
		for (size_t a = 0; a < w.in.n_addrs && w.in.n_nodes > 1; a++) {
			if (w.home[a] == keeping && had[a] == RANK_NONE) {
				assert_int_equal(w.tiers[w.owner[a]], RANK_LIVE);
				added++;
			} else {
				assert_int_equal(w.owner[a], before[a]);
			}
		}
		/* whoever took it, it goes home when that one is ready */
		w.tiers[keeping] = RANK_LIVE;
		assign(&w);
		for (size_t a = 0; a < w.in.n_addrs; a++)
			assert_int_equal(w.owner[a], w.home[a]);
		seed = was;
	}
	assert_true(added > 1000);
}

/* It takes its share along, and a few that did not get where they rank highest. */
static void a_node_that_is_taken_away_for_good_moves_few_others(void **state)
{
	enum { N = 1000, NODES = 10 };
	static struct addr addrs[N];
	static uint32_t home[N], before[N], after[N];
	static const char *const names[NODES] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
	struct rank_in in = {.addrs = addrs, .names = names, .n_addrs = N, .n_nodes = NODES - 1};
	size_t others = 0;

	for (uint32_t i = 0; i < N; i++)
		addrs[i] = nth(i);
	rank_assign(&in, home, after);
	in.n_nodes = NODES;
	rank_assign(&in, home, before);
	for (size_t i = 0; i < N; i++)
		others += before[i] != NODES - 1 && before[i] != after[i];
	assert_in_range(others, 0, N / 50);
}

static void nobody_owns_without_candidates(void **state)
{
	struct addr a = nth(1);
	uint32_t home = 0, owner = 0;
	struct rank_in in = {.addrs = &a, .n_addrs = 1};

	rank_assign(&in, &home, &owner);
	assert_int_equal(owner, RANK_NONE);
	assert_int_equal(home, RANK_NONE);
	assert_int_equal(rank_owner(a, NULL, 0), -1);
}

/* every node of every version must agree: the values are part of the contract */
static void ranks_are_the_same_for_ever(void **state)
{
	static const char *const names[] = {"n1", "n2", "n3", "n4", "n5"};
	static const uint32_t want[] = {2, 3, 4, 1, 2, 1, 4, 0};
	struct addr addrs[8];
	uint32_t home[8], owner[8];
	struct rank_in in = {.addrs = addrs, .names = names, .n_addrs = 8, .n_nodes = 5};

	for (uint32_t i = 0; i < 8; i++)
		addrs[i] = nth(i);
	rank_assign(&in, home, owner);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(owner[i], want[i]);
}

static void a_hundred_thousand_addresses_over_64_nodes(void **state)
{
	enum { N = 100000, NODES = 64 };
	__cleanup_free struct addr *addrs = mem_alloc0(N * sizeof(*addrs));
	__cleanup_free uint32_t *home = mem_alloc0(N * sizeof(*home));
	__cleanup_free uint32_t *owner = mem_alloc0(N * sizeof(*owner));
	static char text[NODES][8];
	static const char *names[NODES];
	uint32_t held[NODES] = {0};
	uint8_t tiers[NODES];
	struct rank_in in = {
		.addrs = addrs, .names = names, .tiers = tiers, .n_addrs = N, .n_nodes = NODES};
	clock_t t;

	for (uint32_t i = 0; i < N; i++)
		addrs[i] = nth(i);
	for (uint32_t i = 0; i < NODES; i++) {
		snprintf(text[i], sizeof(text[i]), "node%u", i);
		names[i] = text[i];
		tiers[i] = i ? RANK_LIVE : RANK_AWAY;
	}
	t = clock();
	rank_assign(&in, home, owner);
	printf("# ranked %d addresses over %d nodes, one of them away, in %.1f ms\n", N, NODES,
	       (double)(clock() - t) * 1000 / CLOCKS_PER_SEC);
	for (size_t i = 0; i < N; i++)
		held[owner[i]]++;
	assert_int_equal(held[0], 0);
	for (size_t i = 1; i < NODES; i++)
		assert_in_range(held[i], 1, rank_share(N, NODES - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_nodes_agree_in_whatever_order_they_read),
		cmocka_unit_test(no_node_holds_more_than_its_share_if_that_can_be_helped),
		cmocka_unit_test(every_address_is_with_one_it_may_go_to_and_only_then_with_nobody),
		cmocka_unit_test(a_node_that_dies_moves_only_its_own_and_takes_them_back),
		cmocka_unit_test(a_node_that_is_keeping_is_home_and_takes_in_nobody),
		cmocka_unit_test(what_is_added_goes_to_who_is_ready_and_nothing_else_moves),
		cmocka_unit_test(a_node_that_is_taken_away_for_good_moves_few_others),
		cmocka_unit_test(nobody_owns_without_candidates),
		cmocka_unit_test(ranks_are_the_same_for_ever),
		cmocka_unit_test(a_hundred_thousand_addresses_over_64_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
