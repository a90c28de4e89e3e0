/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* ---- whom a policy selects ---- */

static bool service_selects(const struct doc_set *set, const char *name,
			    const struct oracle_packet *pkt)
{
	for (size_t i = 0; i < set->n_services; i++)
		if (strcmp(set->services[i].meta.namespace, pkt->pod->namespace) == 0 &&
		    strcmp(set->services[i].meta.name, name) == 0)
			return set->services[i].selector.n &&
			       selector_matches(&set->services[i].selector, &pkt->pod->labels);
	return false;
}

static bool selects(const struct doc_set *set, const struct doc_policy *p,
		    const struct oracle_packet *pkt)
{
	if (p->meta.kind == DOC_CLUSTER_EGRESS_POLICY)
		return (!p->namespaces.present ||
			selector_matches(&p->namespaces, pkt->namespace)) &&
		       selector_matches(&p->pods, &pkt->pod->labels);
	if (strcmp(p->meta.namespace, pkt->pod->namespace) != 0)
		return false;
	for (size_t i = 0; i < p->n_services; i++)
		if (service_selects(set, p->services[i], pkt))
			return true;
	return !p->n_services && selector_matches(&p->pods, &pkt->pod->labels);
}

/* ---- whether a rule matches ---- */

static bool in_window(const struct doc_window *w, int64_t now)
{
	int64_t day = now / 86400 + 4, minute = now / 60 % 1440; /* day 0 was a Thursday */
	bool today = w->days >> day % 7 & 1, yesterday = w->days >> (day + 6) % 7 & 1;

	if (w->from < w->to)
		return today && minute >= w->from && minute < w->to;
	return (today && minute >= w->from) || (yesterday && minute < w->to);
}

static bool holds_now(const struct doc_schedule *s, int64_t now)
{
	bool in = !s || !s->n_windows;

	for (size_t i = 0; s && i < s->n_windows; i++)
		in = in || in_window(&s->windows[i], now);
	return !s || (in && now >= s->start_at && now < s->end_at);
}

static bool ports_match(const struct l4_range *ports, size_t n, uint32_t key)
{
	for (size_t i = 0; i < n; i++)
		if (key >= ports[i].lo && key <= ports[i].hi)
			return true;
	return n == 0;
}

static bool known_as(const struct oracle_packet *pkt, const char *pattern)
{
	for (size_t i = 0; i < pkt->n_names; i++)
		if (strcmp(pkt->names[i], pattern) == 0)
			return true;
	return false;
}

static bool destination_matches(const struct doc_destination *d, const struct oracle_packet *pkt)
{
	bool holds = false;

	for (size_t i = 0; i < d->n_cidrs; i++)
		holds = holds || cidr_contains_addr(d->cidrs[i], pkt->dst);
	for (size_t i = 0; i < d->n_fqdns; i++)
		holds = holds || known_as(pkt, d->fqdns[i]);
	return holds && ports_match(d->ports, d->n_ports, pkt->key);
}

static bool any_destination_matches(const struct doc_set *set, const struct doc_policy *p,
				    const struct doc_to *to, const struct oracle_packet *pkt)
{
	const char *namespace = to->cluster_scope ? "" : p->meta.namespace;

	for (size_t i = 0; i < set->n_destinations; i++) {
		const struct doc_destination *d = &set->destinations[i];
		bool meant = to->kind == TO_DESTINATION
				     ? strcmp(to->destination, d->meta.name) == 0
				     : selector_matches(&to->destinations, &d->meta.labels);

		if (meant && strcmp(d->meta.namespace, namespace) == 0 &&
		    destination_matches(d, pkt))
			return true;
	}
	return false;
}

static bool node_matches(const struct doc_set *set, const struct selector *nodes, struct addr dst)
{
	for (size_t i = 0; i < set->n_nodes; i++)
		for (size_t j = 0; j < set->nodes[i].n_addrs; j++)
			if (selector_matches(nodes, &set->nodes[i].meta.labels) &&
			    addr_eq(set->nodes[i].addrs[j].addr, dst))
				return true;
	return false;
}

static bool cidr_matches(const struct doc_to *to, struct addr dst)
{
	for (size_t i = 0; i < to->n_except; i++)
		if (cidr_contains_addr(to->except[i], dst))
			return false;
	return cidr_contains_addr(to->cidr, dst);
}

static bool item_matches(const struct doc_set *set, const struct doc_policy *p,
			 const struct doc_to *to, const struct oracle_packet *pkt)
{
	switch (to->kind) {
	case TO_CIDR:
		return cidr_matches(to, pkt->dst);
	case TO_NODES:
		return node_matches(set, &to->nodes, pkt->dst);
	case TO_FQDN:
		return known_as(pkt, to->fqdn);
	case TO_DESTINATION:
	case TO_DESTINATION_SELECTOR:
		return any_destination_matches(set, p, to, pkt);
	}
	return false;
}

static bool rule_matches(const struct doc_set *set, const struct doc_policy *p,
			 const struct doc_rule *r, const struct oracle_packet *pkt)
{
	bool to = !r->n_to;

	if (!holds_now(r->schedule, pkt->now) || !ports_match(r->ports, r->n_ports, pkt->key))
		return false;
	for (size_t i = 0; i < r->n_to; i++)
		to = to || item_matches(set, p, &r->to[i], pkt);
	return to;
}

/* ---- the ordered list ---- */

static enum policy_step step_of(const struct doc_policy *p)
{
	if (p->meta.kind == DOC_EGRESS_POLICY)
		return p->n_services ? STEP_SERVICES : STEP_PODS;
	return p->tier == TIER_ADMIN ? STEP_ADMIN : STEP_BASELINE;
}

static int compare_order(const void *va, const void *vb)
{
	const struct doc_policy *a = *(const struct doc_policy *const *)va;
	const struct doc_policy *b = *(const struct doc_policy *const *)vb;
	int order = a->priority - b->priority;

	if (!order)
		order = strcmp(a->meta.namespace, b->meta.namespace);
	return order ? order : strcmp(a->meta.name, b->meta.name);
}

/* A rule that matches speaks: for the verdict, and for the identity. */
static void consider(struct oracle_answer *a, bool *step_over, enum rule_action action,
		     const struct doc_via *via, struct oracle_by by)
{
	if (!a->via_by.policy && via->kind != VIA_NONE && !by.policy->audit) {
		a->via = via;
		a->via_by = by;
	}
	if (a->verdict != ACTION_NONE || *step_over || action == ACTION_NONE)
		return;
	if (action == ACTION_PASS) {
		*step_over = true;
		return;
	}
	a->verdict = action;
	a->verdict_by = by;
}

struct oracle_answer oracle_evaluate(const struct doc_set *set, const struct oracle_packet *pkt)
{
	__cleanup_free const struct doc_policy **order = mem_alloc0((set->n_policies + 1) *
								    sizeof(*order));
	struct oracle_answer a = {};
	size_t n = 0;

	for (size_t i = 0; i < set->n_policies; i++) {
		const struct doc_policy *p = set->policies[i];

		if (!selects(set, p, pkt))
			continue;
		a.audited = a.audited || p->audit;
		if (!p->audit || pkt->audit)
			order[n++] = p;
	}
	if (n)
		qsort(order, n, sizeof(*order), compare_order);
	for (enum policy_step step = STEP_ADMIN; step <= STEP_BASELINE; step++) {
		bool step_over = false;

		for (size_t i = 0; i < n; i++) {
			const struct doc_policy *p = order[i];

			for (size_t j = 0; step == step_of(p) && j < p->n_rules; j++)
				if (rule_matches(set, p, &p->rules[j], pkt))
					consider(&a, &step_over, p->rules[j].action,
						 &p->rules[j].via,
						 (struct oracle_by){p, &p->rules[j]});
			if (step == STEP_DEFAULTS && p->has_default)
				consider(&a, &step_over, p->default_action, &p->default_via,
					 (struct oracle_by){p, NULL});
		}
	}
	return a;
}

enum verdict oracle_verdict(const struct oracle_answer *a)
{
	return a->verdict == ACTION_DENY     ? VERDICT_DENY
	       : a->verdict == ACTION_REJECT ? VERDICT_REJECT
					     : VERDICT_ALLOW;
}
