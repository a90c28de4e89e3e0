/* SPDX-License-Identifier: Apache-2.0 */
/* What lies inside, and the addresses inside that lead outside. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"
#include "policy/hash_index.h"
#include "reconcile/desired.h"

/* Without what lies in another one; the lists of the compiler are sorted, parents first. */
struct cidr *desired_cidrs_merge(const struct cidr *in, size_t n, size_t *ret_n)
{
	struct cidr *out = mem_dup(in, n * sizeof(*out));

	*ret_n = cidrs_outermost(out, n);
	return out;
}

/* There may be ten thousand nodes' addresses and prefixes, and this is done for each edit. */
struct inside {
	struct dp_model *m;
	struct hash_index keys; /* of m->inside */
	const struct cidr *all; /* the model's nft_inside */
	struct cidr *pods;
	size_t n_all, n_pods;
};

static void inside_done(struct inside *b)
{
	hash_index_done(&b->keys);
	free(b->pods);
}

/* The longest prefix answers alone, so each entry says what its parents say, too. */
static uint32_t inside_flags(const struct inside *b, struct cidr prefix)
{
	uint32_t flags = 0;

	if (cidrs_cover(b->all, b->n_all, prefix))
		flags |= SLU_INSIDE_ALL;
	if (cidrs_cover(b->pods, b->n_pods, prefix))
		flags |= SLU_INSIDE_ALL | SLU_INSIDE_POD;
	return flags;
}

static void inside_add(struct inside *b, struct cidr c, uint32_t flags)
{
	struct slu_lpm_key key = slu_lpm_key_make(c);
	uint64_t hash = hash_bytes(&key, sizeof(key), 0);
	struct dp_model *m = b->m;
	uint32_t i;

	flags |= inside_flags(b, c);
	for (i = hash_index_first(&b->keys, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&b->keys, i))
		if (memcmp(&m->inside[i].key, &key, sizeof(key)) == 0) {
			m->inside[i].flags |= flags;
			return;
		}
	hash_index_add(&b->keys, hash);
	MEM_GROW(m->inside, m->n_inside);
	m->inside[m->n_inside++] = (struct dp_inside){key, flags};
}

static void inside_add_all(struct inside *b, const struct cidr *list, size_t n, uint32_t flags)
{
	for (size_t i = 0; i < n; i++)
		inside_add(b, list[i], flags);
}

static void inside_build(struct inside *b, const struct compiled *c)
{
	const struct doc_config *conf = compiled_config(c);
	const struct cidr *list;
	size_t n;

	list = compiled_inside(c, &n); /* cluster CIDRs are among them */
	inside_add_all(b, list, n, 0);
	list = compiled_shared(c, &n);
	inside_add_all(b, list, n, SLU_INSIDE_SHARED);
	list = compiled_external(c, &n);
	inside_add_all(b, list, n, SLU_INSIDE_NODE);
	for (size_t i = 0; conf && i < conf->n_resolvers; i++)
		inside_add(b, cidr_host(conf->resolvers[i]), SLU_INSIDE_DNS);
}

/* ---- what no pod may have ---- */

static void taken_add(struct inside *b, struct addr a)
{
	if (!addr_is_zero(a) && !addr_is_loopback(a) && !addr_is_link_local(a))
		inside_add(b, cidr_host(a), SLU_INSIDE_TAKEN);
}

/* Whoever is given one of these is sent what is meant for a gateway or a node, and leaves as it. */
static void taken_build(struct inside *b, const struct compiled *c, const struct node_state *node)
{
	const struct compiled_node *nodes;
	const struct egress_addr *addrs;
	const struct cidr *external;
	size_t n;

	nodes = compiled_nodes(c, &n);
	for (size_t i = 0; i < n; i++) {
		taken_add(b, nodes[i].v4);
		taken_add(b, nodes[i].v6);
	}
	external = compiled_external(c, &n);
	for (size_t i = 0; i < n; i++)
		taken_add(b, external[i].addr);
	addrs = compiled_addrs(c, &n);
	for (size_t i = 0; i < n; i++)
		taken_add(b, addrs[i].addr);
	for (size_t i = 0; i < node->n_ifaces; i++)
		for (size_t k = 0; k < node->ifaces[i].n_addrs; k++)
			taken_add(b, node->ifaces[i].addrs[k].addr);
}

/* ---- Services that lead outside ---- */

static struct slu_endpoint endpoint_of(const struct compiled_endpoint *e)
{
	return (struct slu_endpoint){slu_addr_make(e->addr), e->l4_key};
}

static void services_build(struct inside *b, const struct compiled *c)
{
	const struct compiled_service *list;
	struct dp_model *m = b->m;
	size_t n;

	list = compiled_services(c, &n);
	for (size_t i = 0; i < n; i++) {
		struct dp_service s = {.at = endpoint_of(&list[i].at)};

		inside_add(b, cidr_host(list[i].at.addr), SLU_INSIDE_SERVICE);
		for (size_t k = 0; list[i].n <= SLU_MAX_ENDPOINTS && k < list[i].n; k++)
			s.to.at[s.to.n++] = endpoint_of(&list[i].endpoints[k]);
		MEM_GROW(m->services, m->n_services);
		m->services[m->n_services++] = s;
	}
	m->nft_services = dp_translations(m->services, m->n_services, &m->nft_model.n_services);
}

void desired_inside(const struct compiled *c, const struct node_state *node, struct dp_model *m)
{
	__cleanup(inside_done) struct inside b = {.m = m};
	const struct cidr *list;
	size_t n;

	list = compiled_inside(c, &n);
	b.all = m->nft_inside = desired_cidrs_merge(list, n, &b.n_all);
	m->nft_model.n_inside = b.n_all;
	list = compiled_cluster_cidrs(c, &n);
	b.pods = desired_cidrs_merge(list, n, &b.n_pods);
	inside_build(&b, c);
	taken_build(&b, c, node);
	services_build(&b, c);
}
