/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services that lead outside. A pod sends to the Service's address, which lies inside, and the
 * node translates: who judged the address alone would let a Service without a selector, whose
 * endpoints somebody wrote by hand, be a way past every rule. So the endpoints outside are what
 * is judged, and what is not among them here does not pass behind the translation. By a nodePort
 * the same holds at every node's addresses.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "policy/compiled.h"

struct lead { /* one endpoint of one Service's port */
	struct compiled_endpoint from, to;
	const struct doc_meta *meta;
};

/* By nodes: ports times nodes times endpoints, of what the kernel has room for. */
#define MAX_NODE_LEADS ((size_t)SLU_MAX_SERVICES * (SLU_MAX_ENDPOINTS + 1))

struct leads {
	struct lead *list;
	size_t n, by_nodes;
};

/* ---- which lead outside ---- */

static bool is_inside(const struct compiled *c, struct addr a)
{
	for (size_t i = 0; i < c->n_inside; i++)
		if (cidr_contains_addr(c->inside[i], a))
			return true;
	return false;
}

/* What is governed: the rest is never touched, whoever translates to it. */
static bool is_outside(const struct compiled *c, struct addr a)
{
	return !is_inside(c, a) && !addr_is_loopback(a) && !addr_is_multicast(a) &&
	       !addr_is_unspecified(a);
}

static int compare_service(const void *key, const void *service)
{
	const struct doc_slice *s = key;
	const struct doc_meta *meta = &((const struct doc_service *)service)->meta;
	int order = strcmp(s->meta.namespace, meta->namespace);

	return order ? order : strcmp(s->service, meta->name);
}

static const struct doc_service *service_of(const struct doc_set *set, const struct doc_slice *s)
{
	if (!s->service || !set->n_services)
		return NULL;
	return bsearch(s, set->services, set->n_services, sizeof(*set->services), compare_service);
}

static bool ports_meet(const struct doc_service_port *a, const struct doc_service_port *b)
{
	return a->key >> 16 == b->key >> 16 && strcmp(a->name, b->name) == 0;
}

static void lead_add(struct leads *l, struct compiled_endpoint from, struct compiled_endpoint to,
		     const struct doc_meta *meta)
{
	MEM_GROW(l->list, l->n);
	l->list[l->n++] = (struct lead){from, to, meta};
}

/* An address of a node: what is sent to another one's is translated there, where nobody judges it.
 */
static bool is_node(const struct compiled *c, struct cidr inside)
{
	return inside.len == 128 && !is_cluster_addr(c, inside.addr);
}

/* By every address and port of the Service that may be translated to this endpoint. */
static void endpoint_add(struct leads *l, const struct compiled *c, const struct doc_service *s,
			 struct compiled_endpoint to, const struct doc_service_port *port)
{
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct doc_service_port *at = &s->ports[i];

		if (!ports_meet(at, port))
			continue;
		for (size_t k = 0; k < s->n_addrs; k++)
			if (addr_is_v4(s->addrs[k]) == addr_is_v4(to.addr) &&
			    is_inside(c, s->addrs[k]))
				lead_add(l, (struct compiled_endpoint){s->addrs[k], at->key}, to,
					 &s->meta);
		for (size_t k = 0; at->node_key && k < c->n_inside && l->by_nodes < MAX_NODE_LEADS;
		     k++)
			if (addr_is_v4(c->inside[k].addr) == addr_is_v4(to.addr) &&
			    is_node(c, c->inside[k])) {
				lead_add(
					l,
					(struct compiled_endpoint){c->inside[k].addr, at->node_key},
					to, &s->meta);
				l->by_nodes++;
			}
	}
}

static void slice_add(struct leads *l, const struct compiled *c, const struct doc_slice *slice)
{
	const struct doc_service *s = NULL;

	for (size_t i = 0; i < slice->n_addrs; i++) {
		if (!is_outside(c, slice->addrs[i]))
			continue;
		s = s ?: service_of(c->set, slice);
		for (size_t k = 0; s && k < slice->n_ports; k++)
			endpoint_add(
				l, c, s,
				(struct compiled_endpoint){slice->addrs[i], slice->ports[k].key},
				&slice->ports[k]);
	}
}

/* ---- in order ---- */

static int compare_endpoints(const struct compiled_endpoint *a, const struct compiled_endpoint *b)
{
	int order = addr_cmp(a->addr, b->addr);

	if (order)
		return order;
	return a->l4_key < b->l4_key ? -1 : a->l4_key > b->l4_key;
}

static int compare_leads(const void *va, const void *vb)
{
	const struct lead *a = va, *b = vb;
	int order = compare_endpoints(&a->from, &b->from);

	return order ? order : compare_endpoints(&a->to, &b->to);
}

static void service_put(struct compiled *c, const struct lead *l)
{
	struct compiled_service *s = c->n_services ? &c->services[c->n_services - 1] : NULL;

	if (!s || compare_endpoints(&s->at, &l->from) != 0) {
		MEM_GROW(c->services, c->n_services);
		s = &c->services[c->n_services++];
		*s = (struct compiled_service){.at = l->from, .meta = l->meta};
	}
	if (s->n && compare_endpoints(&s->endpoints[s->n - 1], &l->to) == 0)
		return;
	MEM_GROW(s->endpoints, s->n);
	s->endpoints[s->n++] = l->to;
}

/*
 * Where there is no room for all, ClusterIPs go first: they are translated here, and what was not
 * judged does not pass.
 */
static void services_bound(struct compiled *c)
{
	size_t kept = 0,
	       over = c->n_services < SLU_MAX_SERVICES ? 0 : c->n_services - SLU_MAX_SERVICES;

	for (size_t i = 0; i < c->n_services; i++) {
		struct compiled_service *s = &c->services[i];

		if (over && is_cluster_addr(c, s->at.addr)) {
			free(s->endpoints);
			over--;
		} else if (kept == SLU_MAX_SERVICES) {
			free(s->endpoints);
		} else {
			c->services[kept++] = *s;
		}
	}
	c->n_services = kept;
}

void services_compile(struct compiled *c)
{
	struct leads l = {};

	for (size_t i = 0; i < c->set->n_slices; i++)
		slice_add(&l, c, &c->set->slices[i]);
	if (l.n)
		qsort(l.list, l.n, sizeof(*l.list), compare_leads);
	for (size_t i = 0; i < l.n; i++)
		service_put(c, &l.list[i]);
	free(l.list);
	services_bound(c);
}

void services_done(struct compiled *c)
{
	for (size_t i = 0; i < c->n_services; i++)
		free(c->services[i].endpoints);
	free(c->services);
}

static uint64_t endpoint_hash(const struct compiled_endpoint *e, uint64_t h)
{
	return hash_bytes(&e->l4_key, sizeof(e->l4_key),
			  hash_bytes(e->addr.b, sizeof(e->addr.b), h));
}

uint64_t services_digest(const struct compiled *c, uint64_t seed)
{
	uint64_t h = hash_bytes(&c->n_services, sizeof(c->n_services), seed);

	for (size_t i = 0; i < c->n_services; i++) {
		h = endpoint_hash(&c->services[i].at, h);
		for (size_t k = 0; k < c->services[i].n; k++)
			h = endpoint_hash(&c->services[i].endpoints[k], h);
	}
	return h;
}

uint64_t compiled_services_digest(const struct compiled *c)
{
	return services_digest(c, 0) | 1;
}

const struct compiled_service *compiled_services(const struct compiled *c, size_t *ret_n)
{
	*ret_n = c->n_services;
	return c->services;
}

static int compare_at(const void *key, const void *service)
{
	return compare_endpoints(key, &((const struct compiled_service *)service)->at);
}

const struct compiled_service *compiled_service(const struct compiled *c, struct addr dst,
						uint32_t l4_key)
{
	const struct compiled_endpoint key = {dst, l4_key};

	if (!c->n_services)
		return NULL;
	return bsearch(&key, c->services, c->n_services, sizeof(*c->services), compare_at);
}
