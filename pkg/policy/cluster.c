/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes, and what is inside. The node we compile for is always among the nodes,
 * with or without a Node object: on a machine without a cluster it is the only one
 * and its addresses come from its interfaces. What is inside is never guessed: with
 * nothing said about pods and services there is no answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "policy/compiled.h"

static int compare_cidrs(const void *a, const void *b)
{
	return cidr_cmp(*(const struct cidr *)a, *(const struct cidr *)b);
}

size_t cidrs_sort_unique(struct cidr *v, size_t n)
{
	size_t out = 0, sorted = 1;

	while (sorted < n && cidr_cmp(v[sorted - 1], v[sorted]) < 0)
		sorted++;
	if (sorted >= n)
		return n; /* most often, and there may be a hundred thousand lists */
	qsort(v, n, sizeof(*v), compare_cidrs);
	for (size_t i = 0; i < n; i++)
		if (!out || cidr_cmp(v[out - 1], v[i]) != 0)
			v[out++] = v[i];
	return out;
}

uint64_t name_hash(const char *namespace, const char *name)
{
	return hash_str(name, hash_bytes("/", 1, hash_str(namespace, 0)));
}

bool compiled_node_selected(const struct compiled *c, size_t node, const struct selector *s)
{
	static const struct labels none;
	const struct doc_node *doc = c->node_docs[node];

	return !s->present || selector_matches(s, doc ? &doc->meta.labels : &none);
}

static int compare_namespace(const void *key, const void *ns)
{
	return strcmp(key, ((const struct doc_namespace *)ns)->meta.name);
}

bool namespace_selected(const struct doc_set *set, const char *name, const struct selector *s)
{
	const struct doc_namespace *ns = set->n_namespaces
						 ? bsearch(name, set->namespaces, set->n_namespaces,
							   sizeof(*set->namespaces),
							   compare_namespace)
						 : NULL;
	struct labels implied = {};
	bool yes;

	if (ns)
		return selector_matches(s, &ns->meta.labels);
	labels_set(&implied, LABEL_NAMESPACE_NAME, name);
	yes = selector_matches(s, &implied);
	labels_done(&implied);
	return yes;
}

static void append_cidr(struct cidr **v, size_t *n, struct cidr c)
{
	MEM_GROW(*v, *n);
	(*v)[(*n)++] = c;
}

bool is_cluster_addr(const struct compiled *c, struct addr a)
{
	return cidrs_hold(c->cluster_outermost, c->n_cluster_outermost, a);
}

static void cluster_cidrs_compile(struct compiled *c, const struct node_view *node)
{
	struct cidr **v = &c->cluster_cidrs;
	size_t *n = &c->n_cluster_cidrs;
	bool given;

	for (size_t i = 0; i < node->n_cluster_cidrs; i++)
		append_cidr(v, n, node->cluster_cidrs[i]);
	for (size_t i = 0; i < c->set->n_configs; i++)
		for (size_t j = 0; j < c->set->configs[i].n_cluster_cidrs; j++)
			append_cidr(v, n, c->set->configs[i].cluster_cidrs[j]);
	given = *n > 0;
	for (size_t i = 0; !given && i < c->set->n_nodes; i++)
		for (size_t j = 0; j < c->set->nodes[i].n_pod_cidrs; j++)
			append_cidr(v, n, c->set->nodes[i].pod_cidrs[j]);
	*n = cidrs_sort_unique(*v, *n);
	c->cluster_outermost = mem_dup(*v, *n * sizeof(**v));
	c->n_cluster_outermost = cidrs_outermost(c->cluster_outermost, *n);
}

static void node_addrs(struct compiled_node *ret, const struct doc_node *doc)
{
	for (size_t i = 0; i < doc->n_addrs; i++) {
		struct addr a = doc->addrs[i].addr;
		struct addr *to = addr_is_v4(a) ? &ret->v4 : &ret->v6;

		if (doc->addrs[i].internal && addr_is_zero(*to))
			*to = a;
	}
}

/* No InternalIP was said: the first address that another machine could use and that is no pod's. */
static void own_addrs(const struct compiled *c, struct compiled_node *ret,
		      const struct node_view *node)
{
	for (size_t i = 0; i < node->n_ifaces; i++) {
		for (size_t j = 0; j < node->ifaces[i].n_addrs; j++) {
			struct addr a = node->ifaces[i].addrs[j].addr;
			struct addr *to = addr_is_v4(a) ? &ret->v4 : &ret->v6;

			if (addr_is_zero(*to) && !addr_is_loopback(a) && !addr_is_link_local(a) &&
			    !is_cluster_addr(c, a))
				*to = a;
		}
	}
}

static void nodes_compile(struct compiled *c, const struct node_view *node)
{
	const struct doc_set *set = c->set;
	struct compiled_node *self;

	c->self_name = mem_strdup(node->name);
	c->nodes = mem_alloc0((set->n_nodes + 1) * sizeof(*c->nodes));
	c->node_docs = mem_alloc0((set->n_nodes + 1) * sizeof(*c->node_docs));
	c->self = SIZE_MAX;
	for (size_t i = 0; i <= set->n_nodes; i++) {
		const struct doc_node *doc = i < set->n_nodes ? &set->nodes[i] : NULL;
		int order = doc ? strcmp(doc->meta.name, c->self_name) : 1;

		if (order >= 0 && c->self == SIZE_MAX) {
			c->self = c->n_nodes;
			if (order > 0)
				c->nodes[c->n_nodes++].name = c->self_name;
		}
		if (!doc)
			continue;
		c->node_docs[c->n_nodes] = doc;
		c->nodes[c->n_nodes].name = doc->meta.name;
		node_addrs(&c->nodes[c->n_nodes++], doc);
	}
	self = &c->nodes[c->self];
	if (addr_is_zero(self->v4) && addr_is_zero(self->v6))
		own_addrs(c, self, node);
}

static void node_addrs_compile(const struct compiled *c, bool internal, struct cidr **v, size_t *n)
{
	for (size_t i = 0; i < c->set->n_nodes; i++) {
		const struct doc_node *doc = &c->set->nodes[i];

		for (size_t j = 0; j < doc->n_addrs; j++)
			if (doc->addrs[j].internal == internal)
				append_cidr(v, n, cidr_host(doc->addrs[j].addr));
	}
}

static void inside_compile(struct compiled *c, const struct node_view *node)
{
	struct cidr **v = &c->inside;
	size_t *n = &c->n_inside;

	for (size_t i = 0; i < c->n_cluster_cidrs; i++)
		append_cidr(v, n, c->cluster_cidrs[i]);
	for (size_t i = 0; i < c->set->n_configs; i++)
		for (size_t j = 0; j < c->set->configs[i].n_node_cidrs; j++)
			append_cidr(v, n, c->set->configs[i].node_cidrs[j]);
	node_addrs_compile(c, true, v, n);
	for (size_t i = 0; i < c->set->n_slices; i++) {
		const struct doc_slice *s = &c->set->slices[i];

		for (size_t j = 0; doc_slice_is_api(s) && j < s->n_addrs; j++)
			append_cidr(v, n, cidr_host(s->addrs[j]));
	}
	for (size_t i = 0; i < node->n_ifaces; i++)
		for (size_t j = 0; j < node->ifaces[i].n_addrs; j++)
			if (!addr_is_loopback(node->ifaces[i].addrs[j].addr))
				append_cidr(v, n, cidr_host(node->ifaces[i].addrs[j].addr));
	*n = cidrs_sort_unique(*v, *n);
}

/* Subnets of two addresses and of one have neither (RFC 3021, 6164). */
static void shared_compile(struct compiled *c, const struct node_view *node)
{
	for (size_t i = 0; i < node->n_ifaces; i++) {
		for (size_t j = 0; j < node->ifaces[i].n_addrs; j++) {
			struct cidr own = node->ifaces[i].addrs[j],
				    net = cidr_make(own.addr, own.len);

			if (net.len < 127 && !addr_is_loopback(own.addr))
				append_cidr(&c->shared, &c->n_shared,
					    cidr_host(cidr_is_v4(net) ? cidr_last(net) : net.addr));
		}
	}
	c->n_shared = cidrs_sort_unique(c->shared, c->n_shared);
}

int cluster_compile(struct compiled *c, const struct node_view *node, struct err *e)
{
	cluster_cidrs_compile(c, node);
	if (!c->n_cluster_cidrs)
		return err_set(e, -EINVAL,
			       "cluster CIDRs are unknown: give --cluster-cidr, clusterCIDRs of "
			       "SluiceConfig \"default\" or podCIDRs of the Nodes");
	nodes_compile(c, node);
	inside_compile(c, node);
	shared_compile(c, node);
	node_addrs_compile(c, false, &c->external, &c->n_external);
	c->n_external = cidrs_sort_unique(c->external, c->n_external);
	services_compile(c);
	return 0;
}
