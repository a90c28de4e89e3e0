/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/missing.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct search {
	const struct doc_set *set;
	const struct doc_policy *policy;
	struct missing *list;
	size_t n, first; /* first: of the policy */
};

static void add(struct search *s, struct missing m)
{
	m.policy = s->policy;
	for (size_t i = s->first; i < s->n; i++)
		if (strcmp(s->list[i].kind, m.kind) == 0 && strcmp(s->list[i].name, m.name) == 0)
			return;
	MEM_GROW(s->list, s->n);
	s->list[s->n++] = m;
}

/* Elements of a set begin with their meta and are sorted by namespace, then name. */
static int compare_meta(const void *key, const void *element)
{
	const struct doc_meta *a = key, *b = element;
	int c = strcmp(a->namespace, b->namespace);

	return c ? c : strcmp(a->name, b->name);
}

static bool exists(const void *items, size_t n, size_t size, struct doc_meta key)
{
	return n && bsearch(&key, items, n, size, compare_meta);
}

static void search_via(struct search *s, const struct doc_via *via, const struct doc_src *src)
{
	struct doc_meta key = {.namespace = (char[]){""}, .name = via->gateway};

	if (via->kind != VIA_GATEWAY ||
	    exists(s->set->gateways, s->set->n_gateways, sizeof(*s->set->gateways), key))
		return;
	add(s, (struct missing){.src = via->src.line ? via->src : *src,
				.kind = "EgressGateway",
				.namespace = "",
				.name = via->gateway,
				.effect = via->or_node ? "its traffic is sent as the node"
						       : "its traffic is dropped"});
}

static void search_to(struct search *s, const struct doc_rule *rule, const struct doc_to *to)
{
	struct doc_meta key = {.namespace = to->cluster_scope ? (char[]){""}
							      : s->policy->meta.namespace,
			       .name = to->destination};

	if (to->kind != TO_DESTINATION || exists(s->set->destinations, s->set->n_destinations,
						 sizeof(*s->set->destinations), key))
		return;
	add(s, (struct missing){.src = rule->src,
				.kind = to->cluster_scope ? "ClusterEgressDestination"
							  : "EgressDestination",
				.namespace = to->cluster_scope ? "" : s->policy->meta.namespace,
				.name = to->destination,
				.effect = "the rule does not match it"});
}

static void search_service(struct search *s, const char *name, struct doc_meta key)
{
	if (exists(s->set->services, s->set->n_services, sizeof(*s->set->services), key))
		return;
	add(s, (struct missing){.src = s->policy->meta.src,
				.kind = "Service",
				.namespace = s->policy->meta.namespace,
				.name = name,
				.effect = "none of its pods is selected"});
}

static void search_policy(struct search *s, const struct doc_policy *p)
{
	s->policy = p;
	s->first = s->n;
	for (size_t i = 0; i < p->n_services; i++)
		search_service(
			s, p->services[i],
			(struct doc_meta){.namespace = p->meta.namespace, .name = p->services[i]});
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct doc_rule *rule = &p->rules[i];

		for (size_t j = 0; j < rule->n_to; j++)
			search_to(s, rule, &rule->to[j]);
		search_via(s, &rule->via, &rule->src);
	}
	search_via(s, &p->default_via, &p->default_src);
}

void policy_missing(const struct doc_set *set, struct missing **ret, size_t *ret_n)
{
	struct search s = {.set = set};

	for (size_t i = 0; i < set->n_policies; i++)
		search_policy(&s, set->policies[i]);
	*ret = s.list;
	*ret_n = s.n;
}

void policy_missing_of(const struct doc_set *set, const struct doc_policy *policy,
		       struct missing **ret, size_t *ret_n)
{
	struct search s = {.set = set};

	search_policy(&s, policy);
	*ret = s.list;
	*ret_n = s.n;
}

char *missing_text(const struct missing *m)
{
	return mem_printf("%s %s%s%s is missing: %s", m->kind, m->namespace,
			  *m->namespace ? "/" : "", m->name, m->effect);
}
