/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/mem.h"
#include "bpf/loader.h"
#include "dataplane/programs_tables.h"
#include "testkit/netns_fixture.h"
#include "testkit/policy_fixture.h"

#define DIR "/mnt"

/* A policy with a deny on one port, so that it has ranges, and an identity. */
#define YAML(port)                                                                            \
	"kind: EgressGateway\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: g}\n"         \
	"spec: {addresses: [{range: 192.0.2.50-192.0.2.53}], allowedNamespaces: {}, spread: " \
	"Pod}\n---\n"                                                                         \
	"kind: EgressPolicy\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: p}\n"          \
	"spec:\n"                                                                             \
	"  subject: {podSelector: {}}\n"                                                      \
	"  rules:\n"                                                                          \
	"  - {name: a, action: Deny, to: [{cidr: 198.51.100.0/24}], ports: [{protocol: TCP, " \
	"port: " port "}]}\n"                                                                 \
	"  - {name: b, action: Allow, via: {gateway: g}}\n"

struct content {
	struct policy_fixture f;
	struct binding binding;
	struct program *program;
	struct dp_identity *identities;
	size_t n_identities;
};

static void content_make(struct content *c, const char *yaml)
{
	struct pod_info pod = {.namespace = "default", .name = "x", .labels_known = true};
	const struct identity *list;

	policy_fixture_init(&c->f, yaml, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(policy_resolve(c->f.c, &pod, &c->binding), 0);
	assert_int_equal(policy_flatten(c->f.c, &c->binding, &c->program), 0);
	list = compiled_identities(c->f.c, &c->n_identities);
	c->identities = mem_alloc0(c->n_identities * sizeof(*c->identities));
	for (size_t i = 0; i < c->n_identities; i++)
		for (int f = 0; f < 2; f++) {
			struct dp_identity *to = &c->identities[i];

			to->n[f] = (uint16_t)list[i].n_picks[f];
			to->none[f] = list[i].none[f];
			to->picks[f] = mem_alloc0(to->n[f] * sizeof(uint32_t));
			for (size_t k = 0; k < to->n[f]; k++)
				to->picks[f][k] = SLU_ID_FIRST + list[i].picks[f][k];
		}
}

static void content_done(struct content *c)
{
	for (size_t i = 0; i < c->n_identities; i++) {
		free(c->identities[i].picks[0]);
		free(c->identities[i].picks[1]);
	}
	free(c->identities);
	program_free(c->program);
	binding_done(&c->binding);
	policy_fixture_done(&c->f);
	*c = (struct content){0};
}

/* The plan for this content as policy id, all others kept. */
static struct programs_plan *plan_for(const struct dp_tables *t, const struct content *c,
				      uint32_t id)
{
	const struct dp_program item = {id, c->program};
	const struct dp_programs want = {.identities = c->identities,
					 .n_identities = c->n_identities,
					 .items = &item,
					 .n = 1,
					 .keep_all = true};
	struct programs_plan *p = NULL;
	struct err e = {0};

	expect_ok(programs_plan_new(t, &want, &p, &e), &e);
	return p;
}

static size_t taken(const struct space *s)
{
	size_t n = 0;

	for (uint32_t i = 0; i < s->size; i++)
		n += s->taken[i];
	return n;
}

static size_t take(struct dp_tables *t, const struct content *c, uint32_t id)
{
	struct programs_plan *p = plan_for(t, c, id);
	size_t sets = programs_plan_sets(p);

	programs_commit(t, p);
	programs_plan_free(p);
	return sets;
}

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
	identities = taken(&t->space.identities);
	picks = taken(&t->space.picks);
	assert_int_equal(picks, 4);
	assert_int_equal(take(t, &b, 2), 1);
	assert_int_equal(taken(&t->space.identities), identities);
	assert_int_equal(taken(&t->space.picks), picks);
	content_done(&a);
	content_done(&b);
	tables_free(t);
}

/* What the old one stands on is not touched by the new one, and free when it is switched. */
static void puts_new_content_in_new_places(void **state)
{
	struct dp_tables *t = tables_new();
	struct content a = {0}, b = {0};
	uint32_t first, n;
	size_t ranges;

	content_make(&a, YAML("25"));
	content_make(&b, YAML("26"));
	take(t, &a, 1);
	ranges = taken(&t->space.ranges);
	for (int i = 0; i < 1000; i++) {
		first = tables_find(t, 1)->first;
		n = tables_find(t, 1)->n_ranges;
		assert_int_equal(take(t, i % 2 ? &a : &b, 1), 1);
		assert_true(tables_find(t, 1)->first >= first + n ||
			    tables_find(t, 1)->first + tables_find(t, 1)->n_ranges <= first);
		assert_int_equal(taken(&t->space.ranges), ranges);
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
	assert_int_equal(taken(&t->space.ranges), 0);
	assert_int_equal(taken(&t->space.picks), 0);
	assert_int_equal(taken(&t->space.identities), 1); /* 0 is nobody's */
	content_done(&c);
	tables_free(t);
}

static void says_which_map_is_full(void **state)
{
	struct dp_tables *t = tables_new();
	struct programs_plan *p = NULL;
	struct content c = {0};
	struct dp_program item;
	struct dp_programs want;
	struct err e = {0};

	content_make(&c, YAML("25"));
	item = (struct dp_program){1, c.program};
	want = (struct dp_programs){
		.identities = c.identities, .n_identities = c.n_identities, .items = &item, .n = 1};
	space_mark(&t->space.ranges, 0, t->space.ranges.size);
	assert_int_equal(programs_plan_new(t, &want, &p, &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "map ranges"));
	memset(t->space.ranges.taken, 0, t->space.ranges.size);
	space_mark(&t->space.picks, 3, t->space.picks.size - 3);
	assert_int_equal(programs_plan_new(t, &want, &p, &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "map picks"));
	space_mark(&t->space.identities, 0, t->space.identities.size);
	assert_int_equal(programs_plan_new(t, &want, &p, &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "map identities"));
	content_done(&c);
	tables_free(t);
}

static void gives_freed_places_out_last(void **state)
{
	uint8_t bytes[10] = {0};
	struct space s = {.taken = bytes, .size = 10};
	uint32_t at;

	assert_true(space_take(&s, 4, &at));
	assert_int_equal(at, 0);
	assert_true(space_take(&s, 4, &at));
	assert_int_equal(at, 4);
	memset(bytes, 0, 4);
	assert_true(space_take(&s, 2, &at));
	assert_int_equal(at, 8);
	assert_true(space_take(&s, 3, &at)); /* around */
	assert_int_equal(at, 0);
	assert_false(space_take(&s, 2, &at));
	assert_true(space_take(&s, 1, &at));
	assert_int_equal(at, 3);
	assert_false(space_take(&s, 1, &at));
	assert_false(space_take(&s, 11, &at));
	assert_false(space_take(&s, 0, &at));
}

/* ---- in the kernel ---- */

static struct bpf_pins *pins_open(void)
{
	struct bpf_pins *pins = NULL;
	struct err e = {0};

	netns_fresh();
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("bpf", DIR, "bpf", 0, "mode=0700"), 0);
	expect_ok(bpf_load(DIR, &e), &e);
	expect_ok(bpf_pins_open(DIR, &pins, &e), &e);
	return pins;
}

static void kernel_set(struct bpf_pins *pins, struct dp_tables *t, const struct content *c,
		       uint32_t id)
{
	struct programs_plan *p = plan_for(t, c, id);
	struct err e = {0};

	expect_ok(programs_apply(pins, p, &e), &e);
	programs_commit(t, p);
	programs_plan_free(p);
}

static void finds_its_programs_again_after_a_restart(void **state)
{
	struct bpf_pins *pins = pins_open();
	struct dp_tables *t = tables_new(), *again = NULL;
	struct content a = {0}, b = {0};
	struct err e = {0};

	content_make(&a, YAML("25"));
	content_make(&b, YAML("26"));
	kernel_set(pins, t, &a, 1);
	kernel_set(pins, t, &b, 2);
	kernel_set(pins, t, &b, 1); /* so that places are not where they began */
	kernel_set(pins, t, &a, 7);
	expect_ok(tables_load(pins, &again, &e), &e);
	assert_int_equal(again->n_policies, 3);
	assert_int_equal(taken(&again->space.ranges), taken(&t->space.ranges));
	assert_int_equal(taken(&again->space.picks), taken(&t->space.picks));
	assert_int_equal(take(again, &b, 1), 0);
	assert_int_equal(take(again, &b, 2), 0);
	assert_int_equal(take(again, &a, 7), 0);
	assert_int_equal(take(again, &a, 2), 1);
	content_done(&a);
	content_done(&b);
	tables_free(t);
	tables_free(again);
	bpf_pins_close(pins);
	umount2(DIR, MNT_DETACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_a_program_once),
		cmocka_unit_test(shares_identities_between_programs),
		cmocka_unit_test(puts_new_content_in_new_places),
		cmocka_unit_test(retires_what_nobody_keeps),
		cmocka_unit_test(says_which_map_is_full),
		cmocka_unit_test(gives_freed_places_out_last),
		cmocka_unit_test(finds_its_programs_again_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
