/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects → one ordered list. A policy that cannot have an effect on this node (no
 * rules and no default, or another node's) is not in the list. Everything that
 * depends on the pod stays open: policy_resolve finds the pod's part of the list,
 * policy_flatten turns that into prefixes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/compiled.h"
#include "policy/image.h"
#include "policy/schedule.h"

DEFINE_CLEANUP(struct compiled *, compiled_free);

enum rule_action flat_rule_action(const struct flat_rule *r)
{
	return r->rule ? r->rule->action : r->policy->default_action;
}

static const struct doc_via *flat_rule_via(const struct flat_rule *r)
{
	return r->rule ? &r->rule->via : &r->policy->default_via;
}

uint8_t policy_step(const struct doc_policy *p)
{
	if (p->meta.kind == DOC_EGRESS_POLICY)
		return p->n_services ? STEP_SERVICES : STEP_PODS;
	return p->tier == TIER_BASELINE ? STEP_BASELINE : STEP_ADMIN;
}

bool policy_has_effect(const struct compiled *c, const struct doc_policy *p)
{
	if (!p->n_rules && !p->has_default)
		return false;
	return p->meta.kind == DOC_EGRESS_POLICY || compiled_node_selected(c, c->self, &p->nodes);
}

int doc_policy_order(const struct doc_policy *a, const struct doc_policy *b)
{
	int order;

	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	order = strcmp(a->meta.namespace, b->meta.namespace);
	return order ? order : strcmp(a->meta.name, b->meta.name);
}

int compiled_policy_order(const void *va, const void *vb)
{
	const struct compiled_policy *a = va, *b = vb;

	if (a->step != b->step)
		return a->step < b->step ? -1 : 1;
	return doc_policy_order(a->doc, b->doc);
}

/* The same of two of one set, which is sorted by namespace and name: no text is looked at. */
static int order_in_set(const void *va, const void *vb)
{
	const struct compiled_policy *a = va, *b = vb;

	if (a->step != b->step)
		return a->step < b->step ? -1 : 1;
	if (a->doc->priority != b->doc->priority)
		return a->doc->priority < b->doc->priority ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

static void order_policies(struct compiled *c)
{
	const struct doc_set *set = c->set;
	size_t sorted = 1;

	c->policies = mem_alloc0(set->n_policies * sizeof(*c->policies));
	for (size_t i = 0; i < set->n_policies; i++)
		if (policy_has_effect(c, set->policies[i]))
			c->policies[c->n_policies++] = (struct compiled_policy){
				.doc = set->policies[i],
				.step = policy_step(set->policies[i]),
				.place = (uint32_t)i,
			};
	while (sorted < c->n_policies &&
	       order_in_set(&c->policies[sorted - 1], &c->policies[sorted]) < 0)
		sorted++;
	if (sorted < c->n_policies)
		qsort(c->policies, c->n_policies, sizeof(*c->policies), order_in_set);
}

static bool via_equal(const struct doc_via *a, const struct doc_via *b)
{
	if (a->kind != b->kind || a->or_node != b->or_node || a->n_addrs != b->n_addrs)
		return false;
	for (size_t i = 0; i < a->n_addrs; i++)
		if (!addr_eq(a->addrs[i], b->addrs[i]))
			return false;
	return a->kind != VIA_GATEWAY || strcmp(a->gateway, b->gateway) == 0;
}

/* Most rules of a policy say the same via: look among those before asking for an identity. */
static uint32_t rule_identity(struct identities *ids, const struct compiled_policy *p, size_t index)
{
	const struct doc_via *via = flat_rule_via(&p->rules[index]);

	if (p->doc->audit)
		return IDENTITY_NONE; /* what is only tried out makes nobody somebody else */
	for (size_t i = 0; i < index; i++)
		if (via_equal(flat_rule_via(&p->rules[i]), via))
			return p->rules[i].identity;
	return identities_get(ids, p->doc, via);
}

/* Outside its schedule a rule is absent; the first edge of any schedule makes a new list. */
static bool is_present(struct compiled *c, const struct doc_rule *rule)
{
	int64_t edge;

	if (!rule->schedule)
		return true;
	edge = schedule_next_edge(rule->schedule, c->now);
	if (edge < c->next_edge)
		c->next_edge = edge;
	return schedule_active(rule->schedule, c->now);
}

static void identity_note(struct compiled_policy *p, uint32_t identity)
{
	if (!identity || identity == IDENTITY_NONE)
		return;
	for (size_t i = 0; i < p->n_identities; i++)
		if (p->identities[i] == identity)
			return;
	MEM_GROW(p->identities, p->n_identities);
	p->identities[p->n_identities++] = identity;
}

void policy_rules_compile(struct compiled *c, struct compiled_policy *p, struct destinations *d,
			  struct identities *ids)
{
	for (size_t j = 0; j < p->doc->n_rules; j++) {
		p->scheduled |= p->doc->rules[j].schedule != NULL;
		if (is_present(c, &p->doc->rules[j]))
			rule_compile(c, d, p, &p->doc->rules[j]);
	}
	c->scheduled |= p->scheduled;
	if (p->doc->has_default)
		rule_compile(c, d, p, NULL);
	for (size_t j = 0; j < p->n_rules; j++) {
		p->rules[j].identity = rule_identity(ids, p, j);
		identity_note(p, p->rules[j].identity);
	}
	if (p->n_rules) /* no others come */
		p->rules = mem_resize(p->rules, p->n_rules, sizeof(*p->rules));
}

/* Without what they know of an attempt to take what was there. */
static void start_over(struct compiled *c, const struct gateways *g, struct destinations **d,
		       struct identities **ids)
{
	destinations_free(*d);
	identities_free(*ids);
	for (size_t i = 0; i < c->n_sets; i++)
		free(c->sets[i].name);
	c->n_sets = 0;
	*d = destinations_new(c);
	*ids = identities_new(g, c->set);
}

/* From old as far as it can be, else from nothing. */
static void policies_compile(struct compiled *c, const struct gateways *g, struct compiled *old)
{
	__cleanup(destinations_freep) struct destinations *d = destinations_new(c);
	__cleanup(identities_freep) struct identities *ids = identities_new(g, c->set);

	if (old && policies_edit(c, old, d, &ids)) {
		identities_emit(ids, c);
		return;
	}
	order_policies(c);
	if (old) {
		start_over(c, g, &d, &ids);
		if (policies_compile_again(c, old, d, &ids)) {
			identities_emit(ids, c);
			return;
		}
		start_over(c, g, &d, &ids);
	}
	for (size_t i = 0; i < c->n_policies; i++)
		policy_rules_compile(c, &c->policies[i], d, ids);
	names_emit(d, c);
	identities_emit(ids, c);
	identities_note_users(c);
}

int policy_compile(const struct doc_set *set, const struct node_view *node, struct compiled **ret,
		   struct err *e)
{
	return policy_compile_again(set, node, NULL, ret, e);
}

int policy_compile_again(const struct doc_set *set, const struct node_view *node,
			 struct compiled *previous, struct compiled **ret, struct err *e)
{
	__cleanup(compiled_freep) struct compiled *c = mem_alloc0(sizeof(*c));
	struct gateways g;
	int r;

	c->set = set;
	c->view_digest = view_digest(node);
	c->now = node->now;
	c->next_edge = INT64_MAX;
	r = cluster_compile(c, node, e);
	if (r)
		return r;
	gateways_init(&g, c, node);
	policies_compile(c, &g, previous);
	gateways_done(&g);
	digest_policies(c);
	for (size_t i = 0; i < set->n_gateways; i++) {
		uint16_t mtu = set->gateways[i].tunnel_mtu;

		if (mtu && (!c->tunnel_mtu || mtu < c->tunnel_mtu))
			c->tunnel_mtu = mtu;
	}
	if (!previous || !subjects_take(c, previous))
		image_build_subjects(c, &c->subjects, &c->subjects_len);
	c->digest = digest_all(c);
	*ret = TAKE(c);
	return 0;
}
