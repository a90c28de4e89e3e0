/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/names.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

static struct names *names;
static struct err e;

static void load(void)
{
	world();
	names_free(names);
	expect_ok(names_load(world_pins(), &names, &e), &e);
}

/* Applies n patterns, and lets go of those that are not among them and not used. */
static void apply(const char *const *patterns, size_t n, uint32_t *ids, uint32_t used)
{
	expect_ok(names_apply(names, world_pins(), patterns, n, ids, &e), &e);
	expect_ok(names_retire(names, world_pins(), &used, used ? 1 : 0, &e), &e);
}

/* What the kernel has for a name that is written backwards. */
static struct slu_pattern kernel(const char *backwards)
{
	struct slu_name key = {.text = ""};
	struct slu_pattern v = {0};
	int r;

	memcpy(key.text, backwards, strlen(backwards));
	r = bpf_map_lookup(world_pins(), BPF_MAP_PATTERNS, &key, &v, &e);
	assert_true(r == 0 || r == -ENOENT);
	return v;
}

static void a_pattern_keeps_its_id_and_no_other_ever_gets_it(void **state)
{
	const char *const first[] = {"*.a.example", "a.example", "b.example"};
	const char *const second[] = {"a.example", "c.example"};
	uint32_t ids[3], more[2], last;

	load();
	apply(first, 3, ids, 0);
	assert_int_equal(kernel("elpmaxe.a").below, ids[0]);
	assert_int_equal(kernel("elpmaxe.a").exact, ids[1]);
	assert_int_equal(kernel("elpmaxe.b").exact, ids[2]);
	load(); /* a restart */
	apply(second, 2, more, 0);
	assert_int_equal(more[0], ids[1]);
	assert_true(more[1] > ids[0] && more[1] > ids[2]);
	assert_int_equal(kernel("elpmaxe.a").below, 0);
	assert_int_equal(kernel("elpmaxe.a").exact, ids[1]);
	assert_int_equal(kernel("elpmaxe.b").exact, 0);
	last = more[1];
	apply(second, 0, more, 0);
	assert_int_equal(kernel("elpmaxe.a").exact, 0);
	load();
	apply(first, 1, ids, 0);
	assert_true(ids[0] > last);
}

static void a_pattern_stays_while_a_policy_in_the_kernel_has_it(void **state)
{
	const char *const one[] = {"d.example"};
	uint32_t id, none;

	load();
	apply(one, 1, &id, 0);
	apply(one, 0, &none, id);
	assert_int_equal(kernel("elpmaxe.d").exact, id);
	apply(one, 0, &none, 0);
	assert_int_equal(kernel("elpmaxe.d").exact, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_keeps_its_id_and_no_other_ever_gets_it),
		cmocka_unit_test(a_pattern_stays_while_a_policy_in_the_kernel_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
