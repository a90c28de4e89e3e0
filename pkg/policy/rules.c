/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule → flat rules. Its items share the rule's ports, but a destination's own ports
 * narrow them for what comes from it: items with other ports are another flat rule, right
 * behind and alike in all else. Items that come to nothing (a node that is not there, a
 * destination that is missing, ports that do not meet) leave a rule that matches nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/compiled.h"

struct ports {
	struct l4_range *list;
	size_t n; /* 0: everything */
};

struct small { /* a destination whose prefixes a part has */
	size_t part;
	const struct doc_destination *doc;
};

struct rule_build {
	struct compiled *c;
	struct destinations *d;
	struct compiled_policy *p;
	const struct doc_rule *rule;
	size_t first; /* of p->rules: the rule's own */
	struct flat_rule like;
	struct small *small;
	size_t n_small;
};

static void own(struct compiled_policy *p, void *block)
{
	if (!block)
		return;
	MEM_GROW(p->owned, p->n_owned);
	p->owned[p->n_owned++] = block;
}

/* ---- ports ---- */

static bool ports_equal(const struct flat_rule *r, const struct ports *ports)
{
	return r->n_ports == ports->n &&
	       (!ports->n || memcmp(r->ports, ports->list, ports->n * sizeof(*ports->list)) == 0);
}

/* What lies in both, false when nothing does. Borrowed where one of them is everything. */
static bool ports_meet(struct compiled_policy *p, const struct ports *a, const struct ports *b,
		       struct ports *ret)
{
	*ret = a->n ? *a : *b;
	if (!a->n || !b->n)
		return true;
	*ret = (struct ports){};
	for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
		uint32_t lo = a->list[i].lo > b->list[j].lo ? a->list[i].lo : b->list[j].lo;
		uint32_t hi = a->list[i].hi < b->list[j].hi ? a->list[i].hi : b->list[j].hi;

		if (lo <= hi) {
			MEM_GROW(ret->list, ret->n);
			ret->list[ret->n++] = (struct l4_range){lo, hi};
		}
		if (a->list[i].hi < b->list[j].hi)
			i++;
		else
			j++;
	}
	own(p, ret->list);
	return ret->n > 0;
}

/* ---- parts: one for each list of ports ---- */

static struct flat_rule *part_of(struct rule_build *b, const struct ports *ports)
{
	struct compiled_policy *p = b->p;

	for (size_t i = b->first; i < p->n_rules; i++)
		if (ports_equal(&p->rules[i], ports))
			return &p->rules[i];
	MEM_GROW(p->rules, p->n_rules);
	p->rules[p->n_rules] = b->like;
	p->rules[p->n_rules].ports = ports->list;
	p->rules[p->n_rules].n_ports = ports->n;
	return &p->rules[p->n_rules++];
}

/* The one with the rule's own ports and items. */
static struct flat_rule *own_part(struct rule_build *b)
{
	struct ports ports = {};
	struct flat_rule *r;

	if (b->rule)
		ports = (struct ports){b->rule->ports, b->rule->n_ports};
	r = part_of(b, &ports);
	r->items = true;
	return r;
}

static void add_host(struct flat_rule *r, struct addr a)
{
	if (addr_is_zero(a))
		return;
	MEM_GROW(r->nodes, r->n_nodes);
	r->nodes[r->n_nodes++] = cidr_host(a);
}

static void expand_nodes(const struct compiled *c, struct flat_rule *r, const struct selector *s)
{
	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct doc_node *doc = c->node_docs[i];

		if (!compiled_node_selected(c, i, s))
			continue;
		add_host(r, c->nodes[i].v4);
		add_host(r, c->nodes[i].v6);
		for (size_t j = 0; doc && j < doc->n_addrs; j++)
			add_host(r, doc->addrs[j].addr);
	}
}

static void add_name(struct rule_build *b, struct flat_rule *r, const char *namespace,
		     const char *pattern)
{
	uint32_t number = destinations_name(b->d, namespace, pattern);

	if (number == UINT32_MAX) {
		b->p->n_unnamed++;
		b->c->n_unnamed++;
		return;
	}
	MEM_GROW(r->names, r->n_names);
	r->names[r->n_names++] = number;
}

static void add_destination(struct rule_build *b, uint32_t index)
{
	const struct doc_destination *doc = &b->c->set->destinations[index];
	struct ports of_rule = {b->rule->ports, b->rule->n_ports};
	struct ports of_doc = {doc->ports, doc->n_ports}, ports;
	uint32_t set = destinations_set(b->d, index);
	struct flat_rule *r;

	if (!ports_meet(b->p, &of_rule, &of_doc, &ports))
		return;
	r = part_of(b, &ports);
	if (set != UINT32_MAX) {
		MEM_GROW(r->sets, r->n_sets);
		r->sets[r->n_sets++] = set;
	}
	if (set == UINT32_MAX && doc->n_cidrs) {
		MEM_GROW(b->small, b->n_small);
		b->small[b->n_small++] = (struct small){(size_t)(r - b->p->rules), doc};
	}
	for (size_t i = 0; i < doc->n_fqdns; i++)
		add_name(b, r, doc->meta.namespace, doc->fqdns[i]);
}

static void add_item(struct rule_build *b, const struct doc_to *to)
{
	const uint32_t *found;
	size_t n;

	switch (to->kind) {
	case TO_CIDR:
		own_part(b);
		return;
	case TO_NODES:
		expand_nodes(b->c, own_part(b), &to->nodes);
		return;
	case TO_FQDN:
		add_name(b, own_part(b), b->p->doc->meta.namespace, to->fqdn);
		return;
	case TO_DESTINATION:
	case TO_DESTINATION_SELECTOR:
		n = destinations_find(b->d, b->p->doc, to, &found);
		for (size_t i = 0; i < n; i++)
			add_destination(b, found[i]);
		return;
	}
}

static int compare_u32(const void *va, const void *vb)
{
	const uint32_t *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

/* One destination's are borrowed, as most rules have one: the same prefixes once for all. */
static void collect_cidrs(struct rule_build *b, size_t part)
{
	struct flat_rule *r = &b->p->rules[part];
	struct cidr *list = NULL;

	for (size_t i = 0; i < b->n_small; i++) {
		const struct doc_destination *doc = b->small[i].doc;

		if (b->small[i].part != part)
			continue;
		if (!r->n_cidrs) {
			r->cidrs = doc->cidrs;
			r->n_cidrs = doc->n_cidrs;
			continue;
		}
		if (!list)
			list = mem_dup(r->cidrs, r->n_cidrs * sizeof(*list));
		list = mem_resize(list, r->n_cidrs + doc->n_cidrs, sizeof(*list));
		memcpy(list + r->n_cidrs, doc->cidrs, doc->n_cidrs * sizeof(*list));
		r->n_cidrs += doc->n_cidrs;
	}
	if (!list)
		return;
	r->cidrs = list;
	r->n_cidrs = cidrs_sort_unique(list, r->n_cidrs);
	own(b->p, list);
}

static void part_finish(struct compiled_policy *p, struct flat_rule *r)
{
	size_t out = 0;

	r->n_nodes = cidrs_sort_unique(r->nodes, r->n_nodes);
	if (r->n_sets)
		qsort(r->sets, r->n_sets, sizeof(*r->sets), compare_u32);
	for (size_t i = 0; i < r->n_sets; i++)
		if (!out || r->sets[out - 1] != r->sets[i])
			r->sets[out++] = r->sets[i];
	r->n_sets = out;
	own(p, r->nodes);
	own(p, r->sets);
	own(p, r->names);
}

void rule_compile(struct compiled *c, struct destinations *d, struct compiled_policy *p,
		  const struct doc_rule *rule)
{
	struct rule_build b = {.c = c,
			       .d = d,
			       .p = p,
			       .rule = rule,
			       .first = p->n_rules,
			       .like = {.policy = p->doc,
					.rule = rule,
					.step = rule ? p->step : STEP_DEFAULTS,
					.identity = IDENTITY_NONE,
					.to_all = !rule || !rule->n_to}};

	for (size_t i = 0; rule && i < rule->n_to; i++)
		add_item(&b, &rule->to[i]);
	if (p->n_rules == b.first)
		own_part(&b);
	for (size_t i = b.first; i < p->n_rules; i++) {
		collect_cidrs(&b, i);
		part_finish(p, &p->rules[i]);
	}
	free(b.small);
}
