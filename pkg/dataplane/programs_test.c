/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bpf/loader.h"
#include "testkit/bpf_fixture.h"
#include "testkit/programs_fixture.h"

static void writes_a_program_once(void **state)
{
	struct dp_tables *t = tables_new();
	struct content c = {0};

	content_make(&c, YAML("25"));
	assert_int_equal(take(t, &c, 1), 1);
	assert_true(tables_has(t, 1));
	assert_int_equal(take(t, &c, 1), 0);
	content_done(&c);
	tables_free(t);
}

static void shares_identities_between_programs(void **state)
{
	struct dp_tables *t = tables_new();
	struct content a = {0}, b = {0};
	size_t identities, picks;

	content_make(&a, YAML("25"));
	content_make(&b, YAML("26"));
	take(t, &a, 1);
	identities = taken_of(t, PLACE_IDENTITY);
	picks = taken_of(t, PLACE_PICK);
	assert_int_equal(picks, 4);
	assert_int_equal(take(t, &b, 2), 1);
	assert_int_equal(taken_of(t, PLACE_IDENTITY), identities);
	assert_int_equal(taken_of(t, PLACE_PICK), picks);
	content_done(&a);
	content_done(&b);
	tables_free(t);
}

static bool runs_meet(const struct runs *a, const struct runs *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (a->items[i].first < b->items[k].first + b->items[k].n &&
			    b->items[k].first < a->items[i].first + a->items[i].n)
				return true;
	return false;
}

static struct runs runs_copy(const struct runs *r)
{
	return (struct runs){mem_dup(r->items, r->n * sizeof(*r->items)), r->n};
}

/* What the old one stands on is not touched by the new one, nor by those that follow, before
 * it has settled. */
static void puts_new_content_in_new_places(void **state)
{
	struct dp_tables *t = tables_new();
	struct content a = {0}, b = {0};
	size_t ranges, nodes, rules;

	content_make(&a, YAML("25"));
	content_make(&b, YAML("26"));
	take(t, &a, 1);
	ranges = taken_of(t, PLACE_RANGE);
	nodes = taken_of(t, PLACE_NODE);
	rules = taken_of(t, PLACE_RULE);
	for (int i = 0; i < 5000; i++) {
		struct runs old_nodes = runs_copy(&tables_find(t, 1)->nodes);
		uint32_t old_rules = tables_find(t, 1)->v.first_rule;

		assert_int_equal(take(t, i % 2 ? &a : &b, 1), 1);
		assert_int_equal(take(t, i % 2 ? &b : &a, 1), 1);
		assert_false(runs_meet(&old_nodes, &tables_find(t, 1)->nodes));
		assert_int_not_equal(old_rules, tables_find(t, 1)->v.first_rule);
		assert_true(tables_resting(t));
		wake(t);
		assert_int_equal(taken_of(t, PLACE_RANGE), ranges);
		assert_int_equal(taken_of(t, PLACE_NODE), nodes);
		assert_int_equal(taken_of(t, PLACE_RULE), rules);
		assert_int_equal(t->spaces[PLACE_NODE].size, SLU_CHUNK_NODES); /* no new chunk */
		take(t, i % 2 ? &a : &b, 1);
		wake(t);
		free(old_nodes.items);
	}
	content_done(&a);
	content_done(&b);
	tables_free(t);
}

static void retires_what_nobody_keeps(void **state)
{
	struct dp_tables *t = tables_new();
	struct dp_programs want = {0};
	struct programs_plan *p = NULL;
	const uint32_t keep = 2;
	struct content c = {0};
	struct err e = {0};

	content_make(&c, YAML("25"));
	take(t, &c, 1);
	take(t, &c, 2);
	want.keep = &keep;
	want.n_keep = 1;
	expect_ok(programs_plan_new(t, &want, &p, &e), &e);
	assert_int_equal(programs_plan_retires(p), 1);
	programs_commit(t, p);
	programs_plan_free(p);
	assert_false(tables_has(t, 1));
	assert_true(tables_has(t, 2));
	want.n_keep = 0;
	expect_ok(programs_plan_new(t, &want, &p, &e), &e);
	programs_commit(t, p);
	programs_plan_free(p);
	assert_true(taken_of(t, PLACE_RANGE) > 0);
	wake(t);
	assert_int_equal(taken_of(t, PLACE_RANGE), 0);
	assert_int_equal(taken_of(t, PLACE_RULE), 0);
	assert_int_equal(taken_of(t, PLACE_NODE), 1); /* 0 is never used */
	assert_int_equal(taken_of(t, PLACE_PICK), 0);
	assert_int_equal(taken_of(t, PLACE_IDENTITY), 1); /* 0 is nobody's */
	content_done(&c);
	tables_free(t);
}

/* Destination "feed" with n prefixes, a policy of its own for each pod name. */
static char *feed_yaml(size_t n, const char *more)
{
	char *list = mem_strdup(""), *out;
	size_t len = 0;

	list = mem_resize(list, n * 24 + 1, 1);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(list + len, 24 + 1, "%s%zu.%zu.%zu.%zu/32", i ? ", " : "",
					20 + (i >> 23), i >> 15 & 255, i >> 7 & 255, i << 1 & 255);
	out = mem_printf(
		"kind: ClusterEgressDestination\napiVersion: sluice.dev/v1alpha1\n"
		"metadata: {name: feed}\nspec: {cidrs: [%s]}\n---\n"
		"kind: ClusterEgressPolicy\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: p}\n"
		"spec:\n  tier: Admin\n  subject: {podSelector: {}}\n  rules:\n"
		"  - {action: Deny, to: [{destination: {kind: ClusterEgressDestination, "
		"name: feed}}]}\n%s",
		list, more);
	free(list);
	return out;
}

static void holds_a_large_set_once(void **state)
{
	__cleanup_free char *yaml = feed_yaml(1000, ""),
			    *other = feed_yaml(1000,
					       "  - {action: Deny, to: [{cidr: 9.9.9.0/24}]}\n");
	struct dp_tables *t = tables_new();
	struct content a = {0}, b = {0};
	size_t one, nodes;

	content_make(&a, yaml);
	content_make(&b, other);
	assert_int_equal(a.program->n_sets, 1);
	take(t, &a, 1);
	one = taken_of(t, PLACE_NODE);
	assert_true(one > 1000 * 2 / SLU_TREE_WAYS);
	for (uint32_t i = 2; i <= 100; i++)
		assert_int_equal(take(t, i % 2 ? &a : &b, i), 1);
	nodes = taken_of(t, PLACE_NODE);
	assert_true(nodes < one + 99 * 5);
	assert_int_equal(t->n_trees, 1);
	assert_int_equal(t->trees[0]->users, 100);
	for (uint32_t i = 1; i <= 100; i++) /* edits do not move it */
		take(t, i % 2 ? &b : &a, i);
	wake(t);
	assert_int_equal(t->n_trees, 1);
	assert_true(taken_of(t, PLACE_NODE) <= nodes + 5);
	for (uint32_t i = 1; i <= 100; i++)
		tables_remove(t, &i, 1);
	wake(t);
	assert_int_equal(t->n_trees, 0);
	assert_int_equal(taken_of(t, PLACE_NODE), 1);
	content_done(&a);
	content_done(&b);
	tables_free(t);
}

/* ---- in the kernel ---- */

static void kernel_set(struct bpf_pins *pins, struct dp_tables *t, const struct content *c,
		       uint32_t id)
{
	struct programs_plan *p = plan_for(t, c, id);
	struct err e = {0};

	expect_ok(programs_apply(pins, p, &e), &e);
	programs_commit(t, p);
	programs_plan_free(p);
}

#define NAMES                                                                               \
	"kind: EgressPolicy\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: p}\n"        \
	"spec:\n  subject: {podSelector: {}}\n  default: {action: Deny}\n  rules:\n"        \
	"  - {action: Allow, to: [{fqdn: api.example.com}], ports: [{protocol: TCP, port: " \
	"443}]}\n"                                                                          \
	"  - {action: Allow, to: [{fqdn: '*.example.org'}, {cidr: 198.51.100.0/24}]}\n"

static void finds_its_programs_again_after_a_restart(void **state)
{
	struct bpf_pins *pins = world_load();
	struct dp_tables *t = tables_new(), *again = NULL;
	__cleanup_free char *yaml = feed_yaml(300,
					      "  - {action: Allow, to: [{cidr: 9.9.9.0/24}]}\n");
	struct content a = {0}, b = {0}, feed = {0}, names = {0};
	struct err e = {0};

	content_make(&a, YAML("25"));
	content_make(&b, YAML("26"));
	content_make(&feed, yaml);
	content_make(&names, NAMES);
	kernel_set(pins, t, &a, 1);
	kernel_set(pins, t, &b, 2);
	kernel_set(pins, t, &b, 1); /* so that places are not where they began */
	kernel_set(pins, t, &a, 7);
	kernel_set(pins, t, &feed, 8);
	kernel_set(pins, t, &names, 9);
	kernel_set(pins, t, &feed, 10);
	expect_ok(tables_settle(pins, t, &e), &e);
	expect_ok(tables_load(pins, &again, &e), &e);
	assert_int_equal(again->n_policies, 6);
	assert_int_equal(again->n_old_names, 0);
	for (int i = 0; i < PLACE_COUNT; i++)
		assert_int_equal(taken(&again->spaces[i]), taken(&t->spaces[i]));
	assert_int_equal(take(again, &feed, 8), 0);
	assert_int_equal(take(again, &names, 9), 0);
	assert_int_equal(take(again, &names, 8), 1);
	assert_int_equal(take(again, &b, 1), 0);
	assert_int_equal(take(again, &b, 2), 0);
	assert_int_equal(take(again, &a, 7), 0);
	assert_int_equal(take(again, &a, 2), 1);
	content_done(&a);
	content_done(&b);
	content_done(&feed);
	content_done(&names);
	tables_free(t);
	tables_free(again);
	bpf_pins_close(pins);
	umount2("/tmp", MNT_DETACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_a_program_once),
		cmocka_unit_test(shares_identities_between_programs),
		cmocka_unit_test(puts_new_content_in_new_places),
		cmocka_unit_test(retires_what_nobody_keeps),
		cmocka_unit_test(holds_a_large_set_once),
		cmocka_unit_test(finds_its_programs_again_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
