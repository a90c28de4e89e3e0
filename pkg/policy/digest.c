/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tells one compile from another. A policy's digest covers what it does here and
 * what it and its rules are called: equal digests, equal program, in the kernel and in
 * what counters and log lines say of it.
 */
#include <string.h>

#include "base/digest.h"
#include "base/hash.h"
#include "base/mem.h"
#include "policy/compiled.h"

static uint64_t hash_u64(uint64_t value, uint64_t h)
{
	return hash_bytes(&value, sizeof(value), h);
}

static uint64_t hash_addr(struct addr a, uint64_t h)
{
	return hash_bytes(a.b, sizeof(a.b), h);
}

uint64_t cidrs_digest(const struct cidr *v, size_t n, uint64_t seed)
{
	_Static_assert(sizeof(*v) == 17, "padding would be hashed");

	return hash_bytes(v, n * sizeof(*v), hash_u64(n, seed));
}

/* ---- what a policy says: nobody may be able to say another thing of the same digest ---- */

static void add_cidrs(struct digest *d, const struct cidr *v, size_t n)
{
	digest_u64(d, n);
	digest_add(d, v, n * sizeof(*v));
}

static void add_own_items(struct digest *d, const struct doc_rule *r)
{
	for (size_t i = 0; i < r->n_to; i++) {
		if (r->to[i].kind != TO_CIDR)
			continue; /* what the others stand for is in the flat rule */
		add_cidrs(d, &r->to[i].cidr, 1);
		add_cidrs(d, r->to[i].except, r->to[i].n_except);
	}
	digest_u64(d, UINT64_MAX);
}

/* What it is about. */
static void add_scope(struct digest *d, const struct compiled *c, const struct flat_rule *r)
{
	digest_u64(d, (uint64_t)r->step << 16 | (uint64_t)r->to_all << 1 | r->items);
	add_cidrs(d, r->nodes, r->n_nodes);
	add_cidrs(d, r->cidrs, r->n_cidrs);
	digest_u64(d, r->n_ports);
	digest_add(d, r->ports, r->n_ports * sizeof(*r->ports));
	digest_u64(d, r->n_sets);
	for (size_t i = 0; i < r->n_sets; i++)
		digest_u64(d, c->sets[r->sets[i]].key);
	digest_u64(d, r->n_names);
	for (size_t i = 0; i < r->n_names; i++)
		digest_str(d, c->names[r->names[i]]);
	if (r->items && r->rule)
		add_own_items(d, r->rule);
}

/* Names are what hits and log lines tell; the place tells which of the rules are present. */
static void add_rule(struct digest *d, const struct compiled *c, const struct flat_rule *r)
{
	digest_u64(d, flat_rule_action(r));
	add_scope(d, c, r);
	digest_u64(d, r->rule ? (uint64_t)(r->rule - r->policy->rules) << 1 | r->rule->log
			      : UINT64_MAX);
	digest_str(d, r->rule ? r->rule->name : NULL);
}

static uint64_t policy_digest(const struct compiled *c, const struct compiled_policy *p,
			      const uint64_t *identity_digests)
{
	const struct doc_meta *meta = &p->doc->meta;
	struct digest d;

	digest_begin(&d);
	digest_u64(&d, (uint64_t)p->doc->audit << 9 | (uint64_t)p->doc->reset << 8 | p->step);
	digest_str(&d, meta->namespace);
	digest_str(&d, meta->name);
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct flat_rule *r = &p->rules[i];

		digest_u64(&d, r->identity == IDENTITY_NONE ? UINT64_MAX
							    : identity_digests[r->identity]);
		add_rule(&d, c, r);
	}
	return digest_end(&d);
}

uint64_t binding_identities(const struct compiled *c, const struct binding *b)
{
	struct digest d;

	digest_begin(&d);
	for (size_t i = 0; i < b->n; i++) {
		const struct compiled_policy *p = &c->policies[b->policies[i]];

		if (p->doc->reset)
			return 0;
		for (size_t k = 0; k < p->n_rules; k++) {
			if (p->rules[k].identity == IDENTITY_NONE)
				continue;
			digest_u64(&d, identity_digest(c, p->rules[k].identity));
			add_scope(&d, c, &p->rules[k]);
		}
	}
	return digest_end(&d) | 1;
}

void digest_policies(struct compiled *c)
{
	__cleanup_free uint64_t *ids = mem_alloc0(c->n_identities * sizeof(*ids));

	for (size_t i = 0; i < c->n_identities; i++)
		ids[i] = identity_digest(c, (uint32_t)i);
	for (size_t i = 0; i < c->n_edited; i++) {
		struct compiled_policy *p = &c->policies[c->edited[i]];

		p->digest = policy_digest(c, p, ids);
	}
	for (size_t i = 0; !c->edited && i < c->n_policies; i++)
		if (!c->policies[i].kept)
			c->policies[i].digest = policy_digest(c, &c->policies[i], ids);
}

/* ---- all of it: to see a change ---- */

static uint64_t hash_egress(const struct egress_addr *a, uint64_t h)
{
	h = hash_addr(a->endpoint, hash_addr(a->addr, h));
	h = hash_addr(a->next_hop, hash_str(a->next, h));
	h = hash_str(a->interface, hash_str(a->owner, hash_str(a->gateway, h)));
	h = hash_u64((uint64_t)a->limits.connections << 32 | a->limits.ports, h);
	h = hash_u64(a->problem | (uint64_t)a->vni << 8, h);
	return hash_u64((uint64_t)a->local | (uint64_t)a->assign << 1 | (uint64_t)a->announce << 2,
			h);
}

/* The subjects' bytes hold the policies' digests; the rest is what the daemon programs beside them.
 */
uint64_t digest_all(const struct compiled *c)
{
	uint64_t h = hash_bytes(c->subjects, c->subjects_len, 0);

	for (size_t i = 0; i < c->n_addrs; i++)
		h = hash_egress(&c->addrs[i], h);
	for (size_t i = 0; i < c->n_identities; i++)
		h = hash_u64(identity_digest(c, (uint32_t)i), h);
	h = cidrs_digest(c->inside, c->n_inside, h);
	h = cidrs_digest(c->shared, c->n_shared, h);
	h = cidrs_digest(c->external, c->n_external, h);
	h = cidrs_digest(c->cluster_cidrs, c->n_cluster_cidrs, h);
	h = services_digest(c, h);
	for (size_t i = 0; i < c->n_nodes; i++)
		h = hash_addr(c->nodes[i].v6,
			      hash_addr(c->nodes[i].v4, hash_str(c->nodes[i].name, h)));
	for (size_t i = 0; i < c->set->n_configs; i++) {
		const struct doc_config *conf = &c->set->configs[i];

		for (size_t j = 0; j < conf->n_resolvers; j++)
			h = hash_addr(conf->resolvers[j], h);
		h = hash_u64((uint64_t)conf->tunnel_port << 32 | conf->mark_mask, h);
		h = hash_u64((uint64_t)conf->min_ttl << 32 | conf->grace, h);
		h = hash_u64(conf->audit, h);
	}
	return hash_u64(c->tunnel_mtu, hash_str(c->self_name, h));
}
