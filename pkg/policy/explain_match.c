/* SPDX-License-Identifier: Apache-2.0 */
/* Does one rule match, and by which item? Read off the flat rule, item by item. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/compiled.h"
#include "policy/explain.h"

static bool excepted(const struct doc_to *to, struct addr a)
{
	for (size_t i = 0; i < to->n_except; i++)
		if (cidr_contains_addr(to->except[i], a))
			return true;
	return false;
}

static enum explain_match own_items_match(const struct flat_rule *r, struct addr a)
{
	enum explain_match best = EXPLAIN_OTHER_DESTINATION;

	for (size_t i = 0; i < r->rule->n_to; i++) {
		const struct doc_to *to = &r->rule->to[i];

		if (to->kind != TO_CIDR || !cidr_contains_addr(to->cidr, a))
			continue;
		if (!excepted(to, a))
			return EXPLAIN_MATCHES;
		best = EXPLAIN_EXCEPTED;
	}
	for (size_t i = 0; i < r->n_nodes; i++)
		if (cidr_contains_addr(r->nodes[i], a))
			return EXPLAIN_MATCHES;
	return best;
}

/* ---- destinations ---- */

static bool refers_to(const struct flat_rule *r, const struct doc_to *to,
		      const struct doc_destination *d)
{
	const char *namespace = to->cluster_scope ? "" : r->policy->meta.namespace;

	if (strcmp(d->meta.namespace, namespace) != 0)
		return false;
	if (to->kind == TO_DESTINATION)
		return strcmp(d->meta.name, to->destination) == 0;
	return to->kind == TO_DESTINATION_SELECTOR &&
	       selector_matches(&to->destinations, &d->meta.labels);
}

static bool rule_refers_to(const struct flat_rule *r, const struct doc_destination *d)
{
	for (size_t i = 0; i < r->rule->n_to; i++)
		if (refers_to(r, &r->rule->to[i], d))
			return true;
	return false;
}

static bool holds(const struct cidr *v, size_t n, struct addr a)
{
	for (size_t i = 0; i < n; i++)
		if (cidr_contains_addr(v[i], a))
			return true;
	return false;
}

/* Small destinations were copied into the rule: which of them was it? */
static char *small_destination(const struct compiled *c, const struct flat_rule *r, struct addr a)
{
	for (size_t i = 0; i < c->set->n_destinations; i++) {
		const struct doc_destination *d = &c->set->destinations[i];

		if (d->n_cidrs >= COMPILED_SET_MIN || !holds(d->cidrs, d->n_cidrs, a) ||
		    !rule_refers_to(r, d))
			continue;
		if (d->meta.kind == DOC_CLUSTER_EGRESS_DESTINATION)
			return mem_printf("ClusterEgressDestination %s", d->meta.name);
		return mem_printf("EgressDestination %s/%s", d->meta.namespace, d->meta.name);
	}
	return NULL;
}

static bool is_missing(const struct compiled *c, const struct flat_rule *r)
{
	for (size_t i = 0; i < r->rule->n_to; i++) {
		const struct doc_to *to = &r->rule->to[i];
		bool there = to->kind != TO_DESTINATION;

		for (size_t j = 0; !there && j < c->set->n_destinations; j++)
			there = refers_to(r, to, &c->set->destinations[j]);
		if (!there)
			return true;
	}
	return false;
}

/* ---- names ---- */

static const char *name_of(const struct compiled *c, const struct flat_rule *r,
			   const struct explain_query *q)
{
	for (size_t i = 0; i < q->n_names; i++)
		for (size_t j = 0; j < r->n_names; j++)
			if (q->names[i] == r->names[j])
				return c->names[r->names[j]];
	return NULL;
}

/* ---- the rule ---- */

static enum explain_match destination_matches(const struct compiled *c, const struct flat_rule *r,
					      const struct explain_query *q, char **ret_through)
{
	enum explain_match own = r->to_all ? EXPLAIN_MATCHES : EXPLAIN_OTHER_DESTINATION;
	const char *name;

	if (!r->to_all && r->items)
		own = own_items_match(r, q->dst);
	if (own == EXPLAIN_MATCHES)
		return own;
	if (holds(r->cidrs, r->n_cidrs, q->dst)) {
		*ret_through = small_destination(c, r, q->dst);
		return EXPLAIN_MATCHES;
	}
	for (size_t i = 0; i < r->n_sets; i++) {
		const struct compiled_set *set = &c->sets[r->sets[i]];

		if (!cidrs_hold(set->cidrs, set->n, q->dst))
			continue;
		*ret_through = mem_strdup(set->name);
		return EXPLAIN_MATCHES;
	}
	name = name_of(c, r, q);
	if (name) {
		*ret_through = mem_strdup(name);
		return EXPLAIN_MATCHES;
	}
	return own == EXPLAIN_OTHER_DESTINATION && is_missing(c, r) ? EXPLAIN_MISSING : own;
}

static bool port_matches(const struct flat_rule *r, uint32_t key)
{
	for (size_t i = 0; i < r->n_ports; i++)
		if (key >= r->ports[i].lo && key <= r->ports[i].hi)
			return true;
	return r->n_ports == 0;
}

enum explain_match explain_match_rule(const struct compiled *c, const struct flat_rule *r,
				      const struct explain_query *q, char **ret_through)
{
	enum explain_match m = destination_matches(c, r, q, ret_through);

	return m == EXPLAIN_MATCHES && !port_matches(r, q->l4_key) ? EXPLAIN_OTHER_PORT : m;
}
