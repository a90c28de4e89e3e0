/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "policy/rank_fixture.h"

static size_t held_by(const struct world *w, size_t node)
{
	size_t held = 0;

	for (size_t a = 0; a < w->in.n_addrs; a++)
		held += w->owner[a] == node;
	return held;
}

static void what_has_no_owner_found_all_nodes_at_their_bound(void **state)
{
	static struct world w;
	size_t without = 0;

	for (seed = 9; seed < 300000; seed += 151) {
		uint64_t was = seed;

		world_init(&w, below(2), below(2));
		world_more(&w);
		w.in.most = 1 + below(4);
		assign(&w);
		for (size_t n = 0; n < w.in.n_nodes; n++)
			assert_true(held_by(&w, n) <= w.in.most);
		for (size_t a = 0; a < w.in.n_addrs; a++) {
			without += w.owner[a] == RANK_NONE && best_tier(&w, a) != RANK_AWAY;
			for (size_t n = 0; w.owner[a] == RANK_NONE && n < w.in.n_nodes; n++)
				if (open_to(&w, a, n))
					assert_int_equal(held_by(&w, n), w.in.most);
		}
		seed = was;
	}
	assert_true(without > 0); /* it was put to the test */
}

/* Two zones of two nodes; each address stays in its own as long as one of them lives. */
static void a_preferred_node_is_the_home_and_the_next_one_too(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	w.in = (struct rank_in){.addrs = w.addrs,
				.names = w.names,
				.tiers = w.tiers,
				.classes = w.classes,
				.prefers = w.prefers,
				.n_addrs = 8,
				.n_nodes = 4,
				.n_classes = 2};
	for (uint32_t i = 0; i < 8; i++) {
		w.addrs[i] = nth(i);
		w.classes[i] = i % 2;
	}
	for (uint32_t i = 0; i < 4; i++) {
		snprintf(w.text[i], sizeof(w.text[i]), "n%u", i);
		w.names[i] = w.text[i];
		w.tiers[i] = RANK_LIVE;
		w.prefers[i / 2 * 4 + i] = true;
	}
	for (uint32_t dead = 0; dead <= 4; dead++) {
		if (dead < 4)
			w.tiers[dead] = RANK_AWAY;
		assign(&w);
		for (size_t i = 0; i < 8; i++) {
			assert_int_equal(w.home[i] / 2, w.classes[i]);
			assert_int_equal(w.owner[i] / 2, w.classes[i]);
		}
		if (dead < 4)
			w.tiers[dead] = RANK_LIVE;
	}
	w.tiers[0] = w.tiers[1] = RANK_AWAY;
	assign(&w);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(w.owner[i] / 2, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_no_owner_found_all_nodes_at_their_bound),
		cmocka_unit_test(a_preferred_node_is_the_home_and_the_next_one_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
