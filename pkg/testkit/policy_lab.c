/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/policy_lab.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define FIRST_ID   40 /* of the addresses, behind those of the world */
#define FIRST_NAME 1000

static const uint32_t world_policy_id = 1;

uint32_t policy_lab_name(const char *pattern)
{
	return FIRST_NAME + (uint32_t)hash_str(pattern, 0) % 100000;
}

/* Address ids that stay when others come and go, as the daemon's do. */
static void identities_make(struct policy_lab *r)
{
	size_t n;
	const struct egress_addr *addrs = compiled_addrs(r->f.c, &n);
	__cleanup_free uint32_t *ids = mem_alloc0((n + 1) * sizeof(*ids));

	for (size_t i = 0; i < n; i++)
		ids[i] = FIRST_ID + (addr_is_v4(addrs[i].addr) ? 0 : 64) + addrs[i].addr.b[15];
	r->identities = dp_identities_new(r->f.c, ids, &r->n_identities);
}

static void subject_make(struct policy_lab *r, uint32_t i)
{
	static const char *const labels[] = {"app=a0", "app=a1 x=y", "app=a2", ""};
	struct lab_subject *s = &r->subjects[i];

	s->pod = (struct pod_info){.namespace = i % 2 ? "n0" : "n1",
				   .name = "p",
				   .labels = labels_from_text(labels[i]),
				   .labels_known = true};
	s->namespace = labels_from_text(s->pod.namespace[1] == '0'
						? "kubernetes.io/metadata.name=n0 team=t0"
						: "kubernetes.io/metadata.name=n1");
	assert_int_equal(policy_resolve(r->f.c, &s->pod, &s->bindings[0]), 0);
	assert_int_equal(policy_resolve_audit(r->f.c, &s->pod, &s->bindings[1]), 0);
	for (uint32_t k = 0; k < 2; k++) {
		uint32_t *counters = r->counters[2 * i + k];

		if (!s->bindings[k].n)
			continue;
		assert_int_equal(policy_flatten(r->f.c, &s->bindings[k], &s->programs[k]), 0);
		assert_in_range(s->programs[k]->n_rules, 0, LAB_RULES);
		for (uint32_t j = 0; j < LAB_RULES; j++)
			counters[j] = LAB_FIRST_HIT + (2 * i + k) * LAB_RULES + j;
	}
}

void policy_lab_init(struct policy_lab *r, const struct policy_texts *t)
{
	char *yaml = policy_texts_join(t);

	*r = (struct policy_lab){};
	policy_fixture_node(&r->f, "n1", "eth0 203.0.113.250/24 2001:db8:ffff::fa/64");
	r->f.set = docs_from_yaml(yaml);
	r->f.node.now = RANDOM_NOW;
	policy_fixture_compile(&r->f);
	r->names = compiled_names(r->f.c, &r->n_names);
	assert_in_range(r->n_names, 0, LAB_NAMES);
	identities_make(r);
	for (uint32_t i = 0; i < LAB_PODS; i++)
		subject_make(r, i);
	free(yaml);
}

void policy_lab_done(struct policy_lab *r)
{
	dp_identities_free(r->identities, r->n_identities);
	for (size_t i = 0; i < LAB_PODS; i++) {
		struct lab_subject *s = &r->subjects[i];

		labels_done(&s->pod.labels);
		labels_done(&s->namespace);
		for (size_t k = 0; k < 2; k++) {
			program_free(s->programs[k]);
			binding_done(&s->bindings[k]);
		}
	}
	policy_fixture_done(&r->f);
}

struct programs_plan *policy_lab_plan(const struct policy_lab *r, const struct dp_tables *t)
{
	uint32_t names[LAB_NAMES];
	struct dp_program items[2 * LAB_PODS];
	struct dp_programs want = {.identities = r->identities,
				   .n_identities = r->n_identities,
				   .names = names,
				   .items = items,
				   .keep = &world_policy_id,
				   .n_keep = 1};
	struct programs_plan *plan = NULL;
	struct err e = {};

	want.sets = compiled_sets(r->f.c, &want.n_sets);
	for (uint32_t i = 0; i < r->n_names; i++)
		names[i] = policy_lab_name(r->names[i]);
	for (uint32_t i = 0; i < 2 * LAB_PODS; i++)
		if (r->subjects[i / 2].programs[i % 2])
			items[want.n++] = (struct dp_program){
				.id = LAB_FIRST_POLICY + i,
				.program = r->subjects[i / 2].programs[i % 2],
				.counters = r->counters[i],
			};
	expect_ok(programs_plan_new(t, &want, &plan, &e), &e);
	return plan;
}

void policy_lab_apply(const struct policy_lab *r, struct dp_tables *t)
{
	struct programs_plan *plan = policy_lab_plan(r, t);
	struct err e = {};

	expect_ok(programs_apply(world_pins(), plan, &e), &e);
	expect_ok(programs_retire(world_pins(), plan, &e), &e);
	programs_commit(t, plan);
	programs_plan_free(plan);
	expect_ok(tables_settle(world_pins(), t, &e), &e);
}

/* The pod of the world is this one. */
void policy_lab_pod(const struct lab_subject *s, uint32_t i)
{
	struct slu_pod pod = world_pod_make(POD_GOVERNED, pod_spread(s->pod.namespace, "p"));
	uint32_t lo = 1;
	struct err e = {};

	pod.policy = s->programs[0] ? LAB_FIRST_POLICY + 2 * i : 0;
	pod.audit = s->programs[1] ? LAB_FIRST_POLICY + 2 * i + 1 : 0;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &lo, &pod, &e), &e);
}

void policy_lab_addresses(void)
{
	for (uint32_t id = FIRST_ID; id < FIRST_ID + 128; id++) {
		struct slu_addr a = world_addr("203.0.113.77");
		struct slu_egress egress = {SLU_ADDR_LOCAL, SLU_VNI_ADDRESS, a, a};
		struct err e = {};

		expect_ok(bpf_map_set(world_pins(), BPF_MAP_ADDRS, &id, &egress, &e), &e);
	}
}
