/* SPDX-License-Identifier: Apache-2.0 */
/* bindings, of all pods of a cluster or of a namespace. */
#include "../sluicectl/bindings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cluster.h"

/* Nodes differ in what they do only where a policy selects nodes. */
static bool nodes_matter(const struct doc_set *set)
{
	for (size_t i = 0; i < set->n_policies; i++)
		if (set->policies[i]->nodes.present)
			return true;
	return false;
}

static int compare_nodes(const void *va, const void *vb)
{
	const struct doc_pod *a = *(const struct doc_pod *const *)va;
	const struct doc_pod *b = *(const struct doc_pod *const *)vb;
	int c = strcmp(a->node_name ?: "", b->node_name ?: "");

	if (!c)
		c = strcmp(a->meta.namespace, b->meta.namespace);
	return c ? c : strcmp(a->meta.name, b->meta.name);
}

static const struct doc_pod **pods_by_node(const struct doc_set *set, size_t *ret_n)
{
	const struct doc_pod **list = mem_alloc0((set->n_pods + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < set->n_pods; i++)
		if (!set->pods[i]->host_network)
			list[n++] = set->pods[i];
	if (n)
		qsort(list, n, sizeof(*list), compare_nodes);
	*ret_n = n;
	return list;
}

static int list(struct ctl *ctl, struct view *v, struct err *e)
{
	__cleanup(bindings_done) struct bindings out = {0};
	__cleanup_free const struct doc_pod **pods = NULL;
	bool matter = nodes_matter(v->policies.set);
	const char *as = NULL;
	size_t n;
	int r = 0;

	bindings_open(&out, ctl, v, "NODE", NULL);
	pods = pods_by_node(v->policies.set, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct record rec = cluster_record(pods[i]);
		const char *node = pods[i]->node_name;

		if (matter && node && (!as || strcmp(as, node) != 0)) {
			r = cluster_view_as(v, ctl, node, e);
			as = node;
		}
		if (r == 0)
			bindings_add(&out, &rec, node ?: "-");
	}
	if (r < 0)
		return r;
	if (ctl->json || out.n_bound || (ctl->wide && out.n))
		bindings_print(&out);
	fflush(stdout);
	if (!ctl->json)
		fprintf(stderr, "%s%zu of %zu pods are under a policy\n", out.n_bound ? "\n" : "",
			out.n_bound, out.n);
	return 0;
}

int cluster_bindings(struct ctl *ctl)
{
	__cleanup(view_done) struct view v = {0};
	__cleanup_api struct api *a = NULL;
	struct objects *objects = NULL;
	struct err e = {0};
	int r;

	if (api_open(ctl, &a, &e) < 0)
		return ctl_fail(&e);
	r = cluster_read(a, ctl->namespace, NULL, &objects);
	if (r != CTL_OK)
		return r;
	if (cluster_view(ctl, objects,
			 objects_count(objects, OBJECTS_NODES)
				 ? objects_at(objects, OBJECTS_NODES, 0)->name
				 : "none",
			 time(NULL), &v, &e) < 0 ||
	    list(ctl, &v, &e) < 0)
		return ctl_fail(&e);
	return CTL_OK;
}
