/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects → one ordered list. A policy that cannot have an effect on this node (no
 * rules and no default, or another node's) is not in the list. Everything that
 * depends on the pod stays open: policy_resolve finds the pod's part of the list,
 * policy_flatten turns that into prefixes.
 *
 * A policy's digest covers what it does and not what it is called, so that a
 * thousand namespaces with one template share one program in the kernel.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "policy/compiled.h"
#include "policy/image.h"

DEFINE_CLEANUP(struct compiled *, compiled_free);

enum rule_action flat_rule_action(const struct flat_rule *r)
{
	return r->rule ? r->rule->action : r->policy->default_action;
}

static const struct doc_via *flat_rule_via(const struct flat_rule *r)
{
	return r->rule ? &r->rule->via : &r->policy->default_via;
}

static uint8_t policy_step(const struct doc_policy *p)
{
	if (p->meta.kind == DOC_EGRESS_POLICY)
		return STEP_PODS;
	return p->tier == TIER_BASELINE ? STEP_BASELINE : STEP_ADMIN;
}

static bool has_effect(const struct compiled *c, const struct doc_policy *p)
{
	if (!p->n_rules && !p->has_default)
		return false;
	return p->meta.kind == DOC_EGRESS_POLICY || compiled_node_selected(c, c->self, &p->nodes);
}

static int compare_policies(const void *va, const void *vb)
{
	const struct compiled_policy *a = va, *b = vb;
	int order;

	if (a->step != b->step)
		return a->step < b->step ? -1 : 1;
	if (a->doc->priority != b->doc->priority)
		return a->doc->priority < b->doc->priority ? -1 : 1;
	order = strcmp(a->doc->meta.namespace, b->doc->meta.namespace);
	return order ? order : strcmp(a->doc->meta.name, b->doc->meta.name);
}

static void order_policies(struct compiled *c)
{
	const struct doc_set *set = c->set;

	c->policies = mem_alloc0(set->n_policies * sizeof(*c->policies));
	for (size_t i = 0; i < set->n_policies; i++)
		if (has_effect(c, &set->policies[i]))
			c->policies[c->n_policies++] = (struct compiled_policy){
				.doc = &set->policies[i],
				.step = policy_step(&set->policies[i]),
			};
	qsort(c->policies, c->n_policies, sizeof(*c->policies), compare_policies);
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

static void rule_compile(const struct compiled *c, struct compiled_policy *p,
			 const struct doc_rule *rule)
{
	struct flat_rule *r = &p->rules[p->n_rules++];

	*r = (struct flat_rule){
		.policy = p->doc,
		.rule = rule,
		.step = rule ? p->step : STEP_DEFAULTS,
		.to_all = !rule || !rule->n_to,
	};
	for (size_t i = 0; rule && i < rule->n_to; i++)
		if (rule->to[i].kind == TO_NODES)
			expand_nodes(c, r, &rule->to[i].nodes);
	r->n_nodes = cidrs_sort_unique(r->nodes, r->n_nodes);
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

	for (size_t i = 0; i < index; i++)
		if (via_equal(flat_rule_via(&p->rules[i]), via))
			return p->rules[i].identity;
	return identities_get(ids, p->doc, via);
}

static void policies_compile(struct compiled *c, const struct node_view *node)
{
	struct gateways g;
	struct identities *ids;

	gateways_init(&g, c, node);
	ids = identities_new(&g, c->set);
	for (size_t i = 0; i < c->n_policies; i++) {
		struct compiled_policy *p = &c->policies[i];

		p->rules = mem_alloc0((p->doc->n_rules + 1) * sizeof(*p->rules));
		for (size_t j = 0; j < p->doc->n_rules; j++)
			rule_compile(c, p, &p->doc->rules[j]);
		if (p->doc->has_default)
			rule_compile(c, p, NULL);
		for (size_t j = 0; j < p->n_rules; j++)
			p->rules[j].identity = rule_identity(ids, p, j);
	}
	identities_emit(ids, c);
	identities_free(ids);
	gateways_done(&g);
}

/* ---- digests ---- */

static uint64_t hash_u64(uint64_t value, uint64_t h)
{
	return hash_bytes(&value, sizeof(value), h);
}

static uint64_t hash_addr(struct addr a, uint64_t h)
{
	return hash_bytes(a.b, sizeof(a.b), h);
}

static uint64_t hash_cidrs(const struct cidr *v, size_t n, uint64_t h)
{
	h = hash_u64(n, h);
	for (size_t i = 0; i < n; i++)
		h = hash_u64(v[i].len, hash_addr(v[i].addr, h));
	return h;
}

static uint64_t hash_doc_rule(const struct doc_rule *r, uint64_t h)
{
	h = hash_u64(r->n_to, h);
	for (size_t i = 0; i < r->n_to; i++) {
		h = hash_u64(r->to[i].kind, h);
		if (r->to[i].kind != TO_CIDR)
			continue; /* its addresses are in flat_rule.nodes */
		h = hash_cidrs(&r->to[i].cidr, 1, h);
		h = hash_cidrs(r->to[i].except, r->to[i].n_except, h);
	}
	h = hash_u64(r->n_ports, h);
	for (size_t i = 0; i < r->n_ports; i++)
		h = hash_u64((uint64_t)r->ports[i].lo << 32 | r->ports[i].hi, h);
	return h;
}

static uint64_t policy_digest(const struct compiled_policy *p, const uint64_t *identity_digests)
{
	uint64_t h = hash_u64((uint64_t)p->doc->reset << 8 | p->step, 0);

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct flat_rule *r = &p->rules[i];

		h = hash_u64((uint64_t)r->step << 8 | flat_rule_action(r), h);
		h = hash_u64(r->identity == IDENTITY_NONE ? UINT64_MAX
							  : identity_digests[r->identity],
			     h);
		h = hash_cidrs(r->nodes, r->n_nodes, h);
		if (r->rule)
			h = hash_doc_rule(r->rule, h);
	}
	return h;
}

static void digest_policies(struct compiled *c)
{
	__cleanup_free uint64_t *ids = mem_alloc0(c->n_identities * sizeof(*ids));

	for (size_t i = 0; i < c->n_identities; i++)
		ids[i] = identity_digest(c, (uint32_t)i);
	for (size_t i = 0; i < c->n_policies; i++)
		c->policies[i].digest = policy_digest(&c->policies[i], ids);
}

static uint64_t hash_egress(const struct egress_addr *a, uint64_t h)
{
	h = hash_addr(a->endpoint, hash_addr(a->addr, h));
	h = hash_str(a->interface, hash_str(a->owner, hash_str(a->gateway, h)));
	h = hash_u64(a->problem | (uint64_t)a->vni << 8, h);
	return hash_u64((uint64_t)a->local | (uint64_t)a->assign << 1 | (uint64_t)a->announce << 2,
			h);
}

/* The subjects' bytes hold the policies' digests; the rest is what the daemon programs beside them.
 */
static uint64_t digest_all(const struct compiled *c)
{
	uint64_t h = hash_bytes(c->subjects, c->subjects_len, 0);

	for (size_t i = 0; i < c->n_addrs; i++)
		h = hash_egress(&c->addrs[i], h);
	for (size_t i = 0; i < c->n_identities; i++)
		h = hash_u64(identity_digest(c, (uint32_t)i), h);
	h = hash_cidrs(c->inside, c->n_inside, h);
	h = hash_cidrs(c->cluster_cidrs, c->n_cluster_cidrs, h);
	for (size_t i = 0; i < c->n_nodes; i++)
		h = hash_addr(c->nodes[i].v6,
			      hash_addr(c->nodes[i].v4, hash_str(c->nodes[i].name, h)));
	for (size_t i = 0; i < c->set->n_configs; i++) {
		const struct doc_config *conf = &c->set->configs[i];

		for (size_t j = 0; j < conf->n_resolvers; j++)
			h = hash_addr(conf->resolvers[j], h);
		h = hash_u64((uint64_t)conf->tunnel_port << 32 | conf->mark_mask, h);
	}
	return hash_u64(c->tunnel_mtu, hash_str(c->self_name, h));
}

int policy_compile(const struct doc_set *set, const struct node_view *node, struct compiled **ret,
		   struct err *e)
{
	__cleanup(compiled_freep) struct compiled *c = mem_alloc0(sizeof(*c));
	int r;

	c->set = set;
	r = cluster_compile(c, node, e);
	if (r)
		return r;
	order_policies(c);
	policies_compile(c, node);
	digest_policies(c);
	for (size_t i = 0; i < set->n_gateways; i++) {
		uint16_t mtu = set->gateways[i].tunnel_mtu;

		if (mtu && (!c->tunnel_mtu || mtu < c->tunnel_mtu))
			c->tunnel_mtu = mtu;
	}
	image_build_subjects(c, &c->subjects, &c->subjects_len);
	c->digest = digest_all(c);
	*ret = TAKE(c);
	return 0;
}

void compiled_free(struct compiled *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_policies; i++) {
		for (size_t j = 0; j < c->policies[i].n_rules; j++)
			free(c->policies[i].rules[j].nodes);
		free(c->policies[i].rules);
	}
	for (size_t i = 0; i < c->n_addrs; i++) {
		free(c->addrs[i].gateway);
		free(c->addrs[i].owner);
		free(c->addrs[i].interface);
	}
	for (size_t i = 0; i < c->n_identities; i++) {
		free(c->identities[i].gateway);
		free(c->identities[i].picks[0]);
		free(c->identities[i].picks[1]);
	}
	free(c->policies);
	free(c->addrs);
	free(c->identities);
	free(c->inside);
	free(c->cluster_cidrs);
	free(c->nodes);
	free(c->node_docs);
	free(c->self_name);
	free(c->subjects);
	free(c);
}

/* ---- what others read ---- */

const struct egress_addr *compiled_addrs(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_addrs;
	return c->addrs;
}

const struct identity *compiled_identities(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_identities;
	return c->identities;
}

const struct cidr *compiled_inside(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_inside;
	return c->inside;
}

const struct cidr *compiled_cluster_cidrs(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_cluster_cidrs;
	return c->cluster_cidrs;
}

const struct compiled_node *compiled_nodes(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_nodes;
	return c->nodes;
}

const struct doc_config *compiled_config(const struct compiled *c)
{
	return c->set->n_configs ? &c->set->configs[0] : NULL;
}

uint16_t compiled_tunnel_mtu(const struct compiled *c)
{
	return c->tunnel_mtu;
}

uint64_t compiled_digest(const struct compiled *c)
{
	return c->digest;
}

const struct doc_policy *compiled_policy(const struct compiled *c, uint32_t index)
{
	return index < c->n_policies ? c->policies[index].doc : NULL;
}

const struct flat_rule *compiled_policy_rules(const struct compiled *c, uint32_t index,
					      size_t *ret_n)
{
	*ret_n = index < c->n_policies ? c->policies[index].n_rules : 0;
	return *ret_n ? c->policies[index].rules : NULL;
}

size_t compiled_policy_count(const struct compiled *c)
{
	return c->n_policies;
}
