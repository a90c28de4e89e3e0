/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A feed of PREFIXES prefixes as one destination that POLICIES policies deny: from the text
 * of the objects to the kernel. Prints the milliseconds of reading and compiling, those of
 * the first policy's way into the maps, and the bytes of all nodes with one policy and
 * with all of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>

#include "base/mem.h"
#include "bpf/loader.h"
#include "dataplane/programs_tables.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"
#include "testkit/policy_fixture.h"

static uint32_t n_prefixes, n_policies;

static double ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Every other /25 from 20.0.0.0 on, so that none touches the next. */
static char *feed_text(void)
{
	char *text = mem_alloc0((size_t)n_prefixes * 20 + 512);
	size_t len = (size_t)snprintf(
		text, 512,
		"{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":["
		"{\"kind\":\"ClusterEgressPolicy\",\"apiVersion\":\"sluice.dev/v1alpha1\","
		"\"metadata\":{\"name\":\"p\"},\"spec\":{\"tier\":\"Admin\",\"subject\":"
		"{\"podSelector\":{}},\"rules\":[{\"action\":\"Deny\",\"to\":[{\"destination\":"
		"{\"kind\":\"ClusterEgressDestination\",\"name\":\"feed\"}}]}]}},"
		"{\"kind\":\"ClusterEgressDestination\",\"apiVersion\":"
		"\"sluice.dev/v1alpha1\",\"metadata\":{\"name\":\"feed\"},\"spec\":{\"cidrs\":[");

	for (uint32_t i = 0; i < n_prefixes; i++) {
		uint32_t a = (20u << 24) + (i << 8);

		len += (size_t)snprintf(text + len, 20, "%s\"%u.%u.%u.0/25\"", i ? "," : "",
					a >> 24, a >> 16 & 255, a >> 8 & 255);
	}
	memcpy(text + len, "]}}]}", 6);
	return text;
}

static void policy_put(struct bpf_pins *pins, struct dp_tables *t, const struct policy_fixture *f,
		       const struct dp_program *item)
{
	static const struct dp_identity none[8];
	struct dp_programs want = {
		.identities = none, .n_identities = 8, .items = item, .n = 1, .keep_all = true};
	struct programs_plan *plan = NULL;
	struct err e = {0};

	want.sets = compiled_sets(f->c, &want.n_sets);
	expect_ok(programs_plan_new(t, &want, &plan, &e), &e);
	expect_ok(programs_apply(pins, plan, &e), &e);
	programs_commit(t, plan);
	programs_plan_free(plan);
}

static void policies_put(const struct policy_fixture *f, double read_ms)
{
	const struct pod_info pod = {.namespace = "default", .name = "x", .labels_known = true};
	struct bpf_pins *pins = world_load();
	struct dp_tables *t = tables_new();
	struct program *program = NULL;
	struct binding b = {0};
	size_t one = 0;
	double load = 0, from = ms();

	assert_int_equal(policy_resolve(f->c, &pod, &b), 0);
	assert_int_equal(policy_flatten(f->c, &b, &program), 0);
	for (uint32_t i = 1; i <= n_policies; i++) {
		const struct dp_program item = {.id = i, .program = program};

		policy_put(pins, t, f, &item);
		if (i == 1) {
			load = ms() - from;
			one = t->spaces[PLACE_NODE].used * sizeof(struct slu_tree_node);
		}
	}
	printf("%.0f %.0f %zu %zu\n", read_ms, load, one,
	       t->spaces[PLACE_NODE].used * sizeof(struct slu_tree_node));
	program_free(program);
	binding_done(&b);
	tables_free(t);
	bpf_pins_close(pins);
	umount2("/tmp", MNT_DETACH);
}

static void feed(void)
{
	__cleanup_free char *text = feed_text();
	struct policy_fixture f = {0};
	struct err e = {0};
	double from = ms();

	policy_fixture_node(&f, "n1", "eth0 192.0.2.1/24");
	f.set = doc_set_new();
	expect_ok(doc_set_add_text(f.set, "feed.json", text, strlen(text), &e), &e);
	expect_ok(doc_set_finish(f.set, &e), &e);
	policy_fixture_compile(&f);
	policies_put(&f, ms() - from);
	policy_fixture_done(&f);
}

int main(int argc, char **argv)
{
	n_prefixes = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
	n_policies = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100;
	feed();
	return 0;
}
