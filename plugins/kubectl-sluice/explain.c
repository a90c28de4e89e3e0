/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain, of any pod of a cluster: with the least that can be read for it, so that whoever may
 * read a namespace can ask about its pods.
 */
#include "../sluicectl/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cluster.h"

static const struct doc_pod *pod_find(const struct view *v, const char *name)
{
	const struct doc_set *set = v->policies.set;

	for (size_t i = 0; i < set->n_pods; i++)
		if (strcmp(set->pods[i]->meta.name, name) == 0)
			return set->pods[i];
	return NULL;
}

/* The pod's node; any other one where there is none yet. */
static const char *node_of(const struct objects *o, const char *namespace, const char *pod)
{
	const struct object *obj = objects_find(o, OBJECTS_PODS, namespace, pod);
	const struct doc_pod *doc = obj ? doc_item_pod(obj->good) : NULL;
	const char *node = doc ? doc->node_name : NULL;

	if (!node && objects_count(o, OBJECTS_NODES))
		node = objects_at(o, OBJECTS_NODES, 0)->name;
	return node ?: "none";
}

static int tell(struct ctl *ctl, struct view *v, struct explain_in *in, const char *node)
{
	const struct doc_pod *pod = pod_find(v, in->pod);
	__cleanup_free char *where = mem_printf(
		"only its node %s can be asked (sluicectl explain there)", node);
	struct record rec, *list = &rec;
	int r;

	if (pod && pod->host_network && !ctl->labels) {
		ctl_warn("%s/%s has the network of its node: Sluice governs none of it",
			 in->namespace, in->pod);
		return CTL_OK;
	}
	if (!in->imagined)
		in->imagined = where;
	if (pod && !ctl->labels) {
		rec = cluster_record(pod);
		v->records = &list;
		v->n_records = 1;
	}
	r = explain_tell(ctl, v, in);
	v->records = NULL; /* it was ours */
	v->n_records = 0;
	return r;
}

int cluster_explain(struct ctl *ctl)
{
	__cleanup(explain_in_done) struct explain_in in = {0};
	__cleanup(view_done) struct view v = {0};
	__cleanup_api struct api *a = NULL;
	__cleanup_free char *node = NULL;
	struct objects *objects = NULL;
	struct err e = {0};
	int r = explain_read(ctl, &in);

	if (r != CTL_OK)
		return r;
	if (api_open(ctl, &a, &e) < 0)
		return ctl_fail(&e);
	if (!in.namespace)
		in.namespace = mem_strdup(api_namespace(a));
	r = cluster_read(a, in.namespace, ctl->labels ? "" : in.pod, &objects);
	if (r != CTL_OK)
		return r;
	node = mem_strdup(node_of(objects, in.namespace, in.pod));
	if (cluster_view(ctl, objects, node, in.at, &v, &e) < 0)
		return ctl_fail(&e);
	return tell(ctl, &v, &in, node);
}
