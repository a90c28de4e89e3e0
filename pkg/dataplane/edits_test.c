/* SPDX-License-Identifier: Apache-2.0 */
/* After any edits the maps hold what they would hold had they been written at once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "dataplane/programs_tables.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"
#include "testkit/policy_lab.h"

#ifdef __SANITIZE_ADDRESS__
#define SCALE 4
#else
#define SCALE 1
#endif

#define EDITS (60 / SCALE)

/* What a compile of the same thing into empty maps would say. */
static struct dp_tables *cold_tables(const struct policy_lab *r)
{
	struct dp_tables *t = tables_new();
	struct programs_plan *plan = policy_lab_plan(r, t);

	programs_commit(t, plan);
	programs_plan_free(plan);
	return t;
}

struct shared {
	const struct dp_tables *before;
	uint32_t ranges;
};

static void shared_add(struct table_class *v, void *data)
{
	struct shared *s = data;

	if (class_table_find(&s->before->classes, v->meaning, v->n))
		s->ranges += v->n;
}

/* What stands where somebody else's equal ranges stood already. */
static uint32_t shared_with(const struct dp_tables *before, const struct dp_tables *cold)
{
	struct shared s = {.before = before};

	class_table_each(&cold->classes, shared_add, &s);
	return s.ranges;
}

static void check_tables(const struct policy_lab *r, const struct dp_tables *before,
			 const struct dp_tables *t)
{
	struct dp_tables *cold = cold_tables(r), *empty = tables_new(), *now = NULL;
	struct err e = {};

	expect_ok(tables_load(world_pins(), &now, &e), &e);
	assert_int_equal(now->n_policies, cold->n_policies + before->n_policies);
	for (size_t i = 0; i < cold->n_policies; i++) {
		const struct table_policy *p = tables_find(now, cold->policies[i]->id);

		assert_non_null(p);
		assert_true(p->meaning == cold->policies[i]->meaning);
	}
	/* and nothing is left of what was there before; a class that no interval has is not found
	 * by who reads the maps */
	for (int i = 0; i < PLACE_COUNT; i++) {
		uint32_t shared = i == PLACE_RANGE ? shared_with(before, cold) : 0;

		assert_int_equal(t->spaces[i].used - before->spaces[i].used,
				 cold->spaces[i].used - empty->spaces[i].used - shared);
		assert_in_range(now->spaces[i].used, 0, t->spaces[i].used);
	}
	tables_free(now);
	tables_free(cold);
	tables_free(empty);
}

/* Programs whose bindings have other keys than before, or are new. */
static size_t changed(const struct policy_lab *r, uint64_t keys[2 * LAB_PODS])
{
	size_t n = 0;

	for (size_t i = 0; i < 2 * LAB_PODS; i++) {
		uint64_t key = r->subjects[i / 2].bindings[i % 2].key;

		n += key && key != keys[i];
		keys[i] = key;
	}
	return n;
}

static void after_any_edits_the_maps_are_as_if_written_at_once(void **state)
{
	uint64_t keys[2 * LAB_PODS] = {};
	struct dp_tables *t = NULL, *before = NULL;
	struct policy_texts texts = {};
	static struct policy_lab lab;
	struct err e = {};

	world();
	policy_lab_addresses();
	random_seed(4242);
	random_policies(&texts);
	expect_ok(tables_load(world_pins(), &t, &e), &e);
	expect_ok(tables_load(world_pins(), &before, &e), &e);
	for (uint32_t i = 0; i < EDITS; i++) {
		struct programs_plan *plan;

		random_edit(&texts);
		policy_lab_init(&lab, &texts);
		plan = policy_lab_plan(&lab, t);
		assert_in_range(programs_plan_sets(plan), 0, changed(&lab, keys));
		programs_plan_free(plan);
		policy_lab_apply(&lab, t);
		check_tables(&lab, before, t);
		policy_lab_done(&lab);
	}
	policy_texts_done(&texts);
	tables_free(before);
	tables_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_any_edits_the_maps_are_as_if_written_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
