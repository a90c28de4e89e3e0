/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Policies of a text that go the whole way: compiled, flattened for some pods, planned and
 * written into the maps of a world (testkit/bpf_fixture.h), over what was there before.
 */
#include "dataplane/programs.h"
#include "testkit/policy_fixture.h"
#include "testkit/policy_random.h"

#define LAB_PODS	 4
#define LAB_NAMES	 8
#define LAB_FIRST_POLICY 10  /* one of each pod, then one for its audit */
#define LAB_RULES	 256 /* of one program */
#define LAB_FIRST_HIT	 200

struct lab_subject {
	struct pod_info pod;
	struct labels namespace;
	struct binding bindings[2]; /* enforced, audit */
	struct program *programs[2];
};

struct policy_lab {
	struct policy_fixture f;
	struct lab_subject subjects[LAB_PODS];
	const char *const *names;
	size_t n_names;
	struct dp_identity *identities;
	size_t n_identities;
	uint32_t counters[2 * LAB_PODS][LAB_RULES];
	struct slu_hit hits[2 * LAB_PODS * LAB_RULES]; /* that are expected */
	uint64_t audits[SLU_AUDIT_MAX];
};

void policy_lab_init(struct policy_lab *r, const struct policy_texts *t);
void policy_lab_done(struct policy_lab *r);
struct programs_plan *policy_lab_plan(const struct policy_lab *r, const struct dp_tables *t);
void policy_lab_apply(const struct policy_lab *r, struct dp_tables *t);
/* The addresses that pods may get are all owned here. */
void policy_lab_addresses(void);
/* The pod of the world is this one, the i-th. */
void policy_lab_pod(const struct lab_subject *s, uint32_t i);
uint32_t policy_lab_name(const char *pattern);
