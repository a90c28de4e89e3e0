/* SPDX-License-Identifier: Apache-2.0 */
/* A struct compiled as others see it. */
#include <stdlib.h>

#include "policy/compiled.h"

void compiled_policy_done(struct compiled_policy *p)
{
	for (size_t i = 0; i < p->n_owned; i++)
		free(p->owned[i]);
	free(p->owned);
	free(p->rules);
	free(p->identities);
	*p = (struct compiled_policy){.doc = p->doc, .step = p->step};
}

void compiled_free(struct compiled *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_policies; i++)
		compiled_policy_done(&c->policies[i]);
	for (size_t i = 0; i < c->n_sets; i++)
		free(c->sets[i].name);
	for (size_t i = 0; i < c->n_names; i++)
		free(c->names[i]);
	for (size_t i = 0; i < c->n_addrs; i++) {
		free(c->addrs[i].gateway);
		free(c->addrs[i].owner);
		free(c->addrs[i].home);
		free(c->addrs[i].next);
		free(c->addrs[i].interface);
	}
	for (size_t i = 0; i < c->n_identities; i++) {
		free(c->identities[i].gateway);
		free(c->identities[i].picks[0]);
		free(c->identities[i].picks[1]);
	}
	free(c->policies);
	free(c->edited);
	free(c->users);
	free(c->sets);
	free(c->names);
	free(c->name_uses);
	free(c->addrs);
	free(c->identities);
	services_done(c);
	free(c->inside);
	free(c->cluster_cidrs);
	free(c->cluster_outermost);
	free(c->shared);
	free(c->external);
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

const struct egress_addr *compiled_addr_find(const struct compiled *c, struct addr a)
{
	for (size_t i = 0; i < c->n_addrs; i++)
		if (addr_eq(c->addrs[i].addr, a))
			return &c->addrs[i];
	return NULL;
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

const struct cidr *compiled_shared(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_shared;
	return c->shared;
}

const struct cidr *compiled_external(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_external;
	return c->external;
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

int64_t compiled_next_edge(const struct compiled *c)
{
	return c->next_edge;
}

const struct compiled_set *compiled_sets(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_sets;
	return c->sets;
}

const char *const *compiled_names(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_names;
	return (const char *const *)c->names;
}

uint16_t compiled_tunnel_mtu(const struct compiled *c)
{
	return c->tunnel_mtu;
}

uint64_t compiled_digest(const struct compiled *c)
{
	return c->digest;
}

static bool policy_tells(const struct doc_policy *p)
{
	bool tells = p->audit;

	for (size_t i = 0; i < p->n_rules && !tells; i++)
		tells = p->rules[i].log;
	return tells;
}

bool compiled_tells(const struct compiled *c)
{
	const struct doc_config *conf = compiled_config(c);
	bool tells = conf && conf->audit;

	for (size_t i = 0; i < c->n_policies && !tells; i++)
		tells = policy_tells(c->policies[i].doc);
	return tells;
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
