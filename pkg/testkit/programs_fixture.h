/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Programs of policies as text, and what the tables make of them; for tests. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/mem.h"
#include "dataplane/programs_priv.h"
#include "testkit/netns_fixture.h"
#include "testkit/policy_fixture.h"
#include "testkit/space_fixture.h"

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
	uint32_t *names, *counters;
};

static inline void content_make(struct content *c, const char *yaml)
{
	struct pod_info pod = {.namespace = "default", .name = "x", .labels_known = true};
	__cleanup_free uint32_t *ids = NULL;
	size_t n;

	policy_fixture_init(&c->f, yaml, "n1", "eth0 192.0.2.1/24");
	assert_int_equal(policy_resolve(c->f.c, &pod, &c->binding), 0);
	assert_int_equal(policy_flatten(c->f.c, &c->binding, &c->program), 0);
	compiled_names(c->f.c, &n);
	c->names = mem_alloc0(n * sizeof(*c->names));
	for (size_t i = 0; i < n; i++)
		c->names[i] = (uint32_t)i + 7;
	c->counters = mem_alloc0(c->program->n_rules * sizeof(*c->counters));
	for (size_t i = 0; i < c->program->n_rules; i++)
		c->counters[i] = (uint32_t)i + 1;
	compiled_addrs(c->f.c, &n);
	ids = mem_alloc0((n + 1) * sizeof(*ids));
	for (size_t i = 0; i < n; i++)
		ids[i] = SLU_ID_FIRST + (uint32_t)i;
	c->identities = dp_identities_new(c->f.c, ids, &c->n_identities);
}

static inline void content_done(struct content *c)
{
	dp_identities_free(c->identities, c->n_identities);
	free(c->names);
	free(c->counters);
	program_free(c->program);
	binding_done(&c->binding);
	policy_fixture_done(&c->f);
	*c = (struct content){0};
}

/* The plan for this content as policy id, all others kept. */
static inline struct programs_plan *plan_for(const struct dp_tables *t, const struct content *c,
					     uint32_t id)
{
	const struct dp_program item = {.id = id, .program = c->program, .counters = c->counters};
	struct dp_programs want = {.identities = c->identities,
				   .n_identities = c->n_identities,
				   .names = c->names,
				   .items = &item,
				   .n = 1,
				   .keep_all = true};
	struct programs_plan *p = NULL;
	struct err e = {0};

	want.sets = compiled_sets(c->f.c, &want.n_sets);
	expect_ok(programs_plan_new(t, &want, &p, &e), &e);
	return p;
}

static inline size_t taken(const struct space *s)
{
	size_t n = 0;

	for (uint32_t i = 0; i < s->size; i++)
		n += space_has(s, i);
	assert_int_equal(n, s->used);
	return n;
}

/* What is written is nobody's, not even of who let it go a moment ago. */
static inline void expect_free_places(const struct dp_tables *t, const struct programs_plan *p)
{
	for (int kind = 0; kind < PLACE_COUNT; kind++)
		for (size_t i = 0; i < p->writes[kind].runs.n; i++) {
			struct run run = p->writes[kind].runs.items[i];

			for (uint32_t k = run.first; k < run.first + run.n; k++)
				assert_false(k < t->spaces[kind].size &&
					     space_has(&t->spaces[kind], k));
		}
}

static inline size_t take(struct dp_tables *t, const struct content *c, uint32_t id)
{
	struct programs_plan *p = plan_for(t, c, id);
	size_t sets = programs_plan_sets(p);

	expect_free_places(t, p);
	programs_commit(t, p);
	programs_plan_free(p);
	return sets;
}

static inline size_t taken_of(const struct dp_tables *t, enum place_kind kind)
{
	return taken(&t->spaces[kind]);
}

/* As after a settle. */
static inline void wake(struct dp_tables *t)
{
	for (int i = 0; i < PLACE_COUNT; i++)
		space_wake(&t->spaces[i]);
	t->n_old_names = 0;
}
