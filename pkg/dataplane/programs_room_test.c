/* SPDX-License-Identifier: Apache-2.0 */
/* How much fits, and what becomes of what does not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "testkit/programs_fixture.h"

/* A policy of this number: prefixes and an identity of its own, 16 ranges of ports as all others.
 */
static char *team_yaml(int number)
{
	char *ports = mem_strdup(""), *yaml;

	for (int i = 0; i < 16; i++) {
		char *more = mem_printf("%s%s{protocol: TCP, port: %d, endPort: %d}", ports,
					i ? ", " : "", 1000 + 100 * i, 1010 + 100 * i);

		free(ports);
		ports = more;
	}
	yaml = mem_printf("kind: EgressPolicy\napiVersion: sluice.dev/v1alpha1\n"
			  "metadata: {name: p}\nspec:\n  subject: {podSelector: {}}\n"
			  "  default: {action: Deny}\n  rules:\n"
			  "  - {action: Allow, to: [{cidr: 198.51.100.%d/32}], ports: [%s]}\n",
			  number, ports);
	free(ports);
	return yaml;
}

static void shares_ranges_of_ports_between_programs(void **state)
{
	struct dp_tables *t = tables_new();
	size_t ranges = 0;

	for (int i = 1; i <= 100; i++) {
		__cleanup_free char *yaml = team_yaml(i);
		struct content c = {0};

		content_make(&c, yaml);
		assert_int_equal(take(t, &c, (uint32_t)i), 1);
		if (i == 1)
			ranges = taken_of(t, PLACE_RANGE);
		content_done(&c);
	}
	assert_int_equal(ranges, 1 + 2 * 16 + 1); /* everywhere else; in the prefix */
	assert_int_equal(taken_of(t, PLACE_RANGE), ranges);
	for (uint32_t i = 1; i < 100; i++)
		tables_remove(t, &i, 1);
	wake(t);
	assert_int_equal(taken_of(t, PLACE_RANGE), ranges);
	tables_remove(t, &(uint32_t){100}, 1);
	wake(t);
	assert_int_equal(taken_of(t, PLACE_RANGE), 0);
	tables_free(t);
}

static void expect_full(struct dp_tables *t, const struct content *c, enum place_kind kind,
			uint32_t from, const char *map)
{
	struct dp_program item = {.id = 1, .program = c->program};
	struct dp_programs want = {.identities = c->identities,
				   .n_identities = c->n_identities,
				   .items = &item,
				   .n = 1};
	struct programs_plan *p = NULL;
	struct space *s = &t->spaces[kind];
	struct err e = {0};

	s->max = s->size;
	space_mark(s, from, s->size - from);
	expect_ok(programs_plan_new(t, &want, &p, &e), &e);
	assert_int_equal(programs_plan_refused(p, &e), 1);
	assert_true(programs_plan_refuses(p, 1));
	assert_int_equal(e.code, -ENOSPC);
	assert_non_null(strstr(e.msg, map));
	assert_int_equal(programs_plan_sets(p), 0);
	for (int i = 0; i < PLACE_COUNT; i++) /* whatever it had got by then */
		assert_int_equal(p->spaces[i].used, t->spaces[i].used);
	assert_int_equal(p->class_index.n, 0);
	programs_plan_free(p);
	space_rest(s, 1, s->size - 1);
	space_wake(s);
}

static void says_which_map_is_full(void **state)
{
	struct dp_tables *t = tables_new();
	struct content c = {0};

	content_make(&c, YAML("25"));
	expect_full(t, &c, PLACE_NODE, 0, "map tree");
	expect_full(t, &c, PLACE_RANGE, 0, "map ranges");
	expect_full(t, &c, PLACE_RULE, 0, "map rules");
	expect_full(t, &c, PLACE_PICK, 3, "map picks");
	expect_full(t, &c, PLACE_IDENTITY, 0, "map identities");
	content_done(&c);
	tables_free(t);
}

/* What is there can be exchanged, and one that goes makes room. */
static void refuses_one_policy_more_than_the_map_holds(void **state)
{
	static struct dp_program items[SLU_MAX_POLICIES];
	struct dp_programs want = {.items = items, .n = SLU_MAX_POLICIES, .keep_all = true};
	struct dp_tables *t = tables_new();
	struct content a = {0}, b = {0};
	struct programs_plan *p = NULL;
	struct err e = {0};

	content_make(&a, YAML("25"));
	content_make(&b, YAML("26"));
	want.identities = a.identities;
	want.n_identities = a.n_identities;
	for (uint32_t i = 0; i < SLU_MAX_POLICIES; i++)
		items[i] = (struct dp_program){i + 1, a.program, a.counters};
	expect_ok(programs_plan_new(t, &want, &p, &e), &e);
	assert_int_equal(programs_plan_refused(p, NULL), 0);
	programs_commit(t, p);
	programs_plan_free(p);
	p = plan_for(t, &b, SLU_MAX_POLICIES + 1);
	assert_int_equal(programs_plan_refused(p, &e), 1);
	assert_non_null(strstr(e.msg, "map policies"));
	programs_plan_free(p);
	assert_int_equal(take(t, &b, 7), 1);
	tables_remove(t, &(uint32_t){8}, 1);
	assert_int_equal(take(t, &b, SLU_MAX_POLICIES + 1), 1);
	content_done(&a);
	content_done(&b);
	tables_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_ranges_of_ports_between_programs),
		cmocka_unit_test(says_which_map_is_full),
		cmocka_unit_test(refuses_one_policy_more_than_the_map_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
