/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Policies as YAML, and what becomes of packets of pod shop/web-1 (app=web): what the
 * tests of the evaluation share. Include after cmocka.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bpf/drop_reasons.h"
#include "policy/explain.h"
#include "testkit/policy_fixture.h"

#define GATEWAY(NAME, RANGES)                                                                     \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: " NAME "}\n" \
	"spec: {addresses: [" RANGES "], allowedNamespaces: {}}\n"
#define GATEWAYS                                                       \
	GATEWAY("a", "{range: 203.0.113.1}, {range: '2001:db8:1::1'}") \
	GATEWAY("b", "{range: 203.0.113.2}, {range: '2001:db8:1::2'}") \
	GATEWAY("only4", "{range: 203.0.113.4}")
#define CLUSTER(NAME, SPEC)                                                                       \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {name: " NAME \
	"}\nspec:\n  subject: {podSelector: {}}\n" SPEC
#define POLICY(NAME, SPEC)                                                                 \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: " NAME \
	", namespace: shop}\nspec:\n  subject: {podSelector: {}}\n" SPEC

#define ON_SERVICES(NAME, SERVICES, SPEC)                                                  \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: " NAME \
	", namespace: shop}\nspec:\n  subject: {services: [" SERVICES "]}\n" SPEC
#define SERVICE(NAME, LABELS)                                        \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " NAME \
	", namespace: shop}\nspec: {selector: {" LABELS "}}\n"
#define DESTINATION(NAME, SPEC)                                                                 \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressDestination\nmetadata: {name: " NAME \
	", namespace: shop, labels: {set: " NAME "}}\nspec: {" SPEC "}\n"
#define CLUSTER_DESTINATION(NAME, SPEC)                                                    \
	"---\napiVersion: sluice.dev/v1alpha1\nkind: ClusterEgressDestination\nmetadata: " \
	"{name: " NAME ", labels: {set: " NAME "}}\nspec: {" SPEC "}\n"

struct expectation {
	const char *dst; /* "198.51.100.7", or with the patterns it is known under: "198.51.100.7
			    as a.example *.b.example" */
	const char *l4;
	int reason;	  /* enum slu_reason; 0 = it leaves */
	const char *from; /* the address the outside sees; NULL = the node's */
};

#define MAX_EXPECTATIONS 10

struct expect_how {
	int64_t now;
	bool audit; /* as if the policies in mode Audit were enforced */
};

/* Unknown patterns are no compiled names: nothing is asked about them. */
static inline size_t names_of(const struct policy_fixture *f, const char *text, uint32_t *ret)
{
	char *copy = mem_strdup(text), *save = NULL;
	const char *const *names;
	size_t n_names, n = 0;

	names = compiled_names(f->c, &n_names);
	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save))
		for (uint32_t i = 0; i < n_names; i++)
			if (strcmp(names[i], s) == 0)
				ret[n++] = i;
	free(copy);
	return n;
}

static inline void expect_one(const struct policy_fixture *f, struct explain_query *q,
			      const struct expectation *want)
{
	char *dst = mem_strdup(want->dst), *as = strstr(dst, " as ");
	uint32_t names[16];
	struct explain *x;

	if (as)
		*as = 0;
	q->dst = addr_of(dst);
	q->l4_key = l4_key_of(want->l4 ?: "");
	q->names = names;
	q->n_names = as ? names_of(f, as + 4, names) : 0;
	assert_int_equal(policy_explain(f->c, q, &x), 0);
	if (x->reason != want->reason)
		fail_msg("%s %s: reason %d, expected %d", want->dst, want->l4 ?: "", x->reason,
			 want->reason);
	if (want->from) {
		assert_non_null(x->addr);
		assert_string_equal(addr_str(x->addr->addr), want->from);
	} else {
		assert_null(x->addr);
	}
	explain_free(x);
	free(dst);
}

static inline void expect(struct expect_how how, const char *yaml, const struct expectation *list)
{
	struct explain_query q = {
		.pod = {.namespace = "shop", .name = "web-1", .labels_known = true},
		.audit = how.audit};
	struct policy_fixture f;

	q.pod.labels = labels_from_text("app=web");
	policy_fixture_node(&f, "n1", "eth0 203.0.113.250/24 2001:db8:1::fa/64");
	f.set = docs_from_yaml(yaml);
	f.node.now = how.now;
	policy_fixture_compile(&f);
	for (size_t i = 0; i < MAX_EXPECTATIONS && list[i].dst; i++)
		expect_one(&f, &q, &list[i]);
	labels_done(&q.pod.labels);
	policy_fixture_done(&f);
}

#define EXPECT_HOW(HOW, YAML, ...) \
	expect(HOW, YAML, (const struct expectation[MAX_EXPECTATIONS]){__VA_ARGS__})
#define EXPECT(YAML, ...)	  EXPECT_HOW((struct expect_how){}, YAML, __VA_ARGS__)
#define EXPECT_AT(NOW, YAML, ...) EXPECT_HOW((struct expect_how){.now = (NOW)}, YAML, __VA_ARGS__)
#define EXPECT_AUDIT(YAML, ...)	  EXPECT_HOW((struct expect_how){.audit = true}, YAML, __VA_ARGS__)

#define OUT "198.51.100.7"
