/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which nodes must be known. A gateway takes tunnels from every node, and who has no word for
 * where nodes are (SluiceConfig.nodeCIDRs) needs each node's address to know what lies inside.
 * The others need the gateways' nodes, those that rules name (`to: nodes`), and their own: by
 * label, so that the heartbeats of 5,000 kubelets are not sent to 5,000 daemons.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reconcile/objects_priv.h"

/* ---- a selector as a query ---- */

static void add_text(char **to, const char *s)
{
	char *longer = mem_printf("%s%s", *to, s);

	free(*to);
	*to = longer;
}

static void add_requirement(char **to, const struct selector_req *q)
{
	if (**to)
		add_text(to, "%2C");
	if (q->op == SEL_DOES_NOT_EXIST)
		add_text(to, "%21");
	for (const char *s = q->key; *s; s++) {
		const char one[2] = {*s, 0};

		add_text(to, *s == '/' ? "%2F" : one);
	}
	if (q->op != SEL_IN && q->op != SEL_NOT_IN)
		return;
	add_text(to, q->op == SEL_IN ? "%20in%20%28" : "%20notin%20%28");
	for (size_t i = 0; i < q->n_values; i++) {
		add_text(to, i ? "%2C" : "");
		add_text(to, q->values[i]);
	}
	add_text(to, "%29");
}

static char *query_of(const struct selector *s)
{
	__cleanup_free char *text = mem_strdup("");

	for (size_t i = 0; i < s->n; i++)
		add_requirement(&text, &s->reqs[i]);
	return mem_printf("labelSelector=%s", text);
}

/* ---- which ---- */

void node_queries_done(struct node_queries *q)
{
	for (size_t i = 0; i < q->n; i++)
		free(q->list[i]);
	q->n = 0;
}

/* Behind its own, which stands first. */
static void all_of_them(struct node_queries *q)
{
	while (q->n > 1)
		free(q->list[--q->n]);
	q->list[q->n++] = mem_strdup("");
	q->all = true;
}

static void query_take(struct node_queries *q, char *take)
{
	for (size_t i = 0; i < q->n; i++)
		if (strcmp(q->list[i], take) == 0) {
			free(take);
			return;
		}
	if (q->n < NODE_QUERIES_MAX) {
		q->list[q->n++] = take;
		return;
	}
	free(take);
	all_of_them(q);
}

static void selector_add(struct node_queries *q, const struct selector *s)
{
	if (!s->present || !s->n)
		all_of_them(q);
	else if (!q->all)
		query_take(q, query_of(s));
}

/* What the cluster is, was said without any node. */
static bool prefixes_known(const struct objects *o)
{
	const struct objects_of *of = &o->of[OBJECTS_CONFIGS];

	for (size_t i = 0; i < of->n; i++) {
		const struct doc_config *config = doc_item_config(object_in_force(of->list[i]));

		if (config && config->n_node_cidrs && config->n_cluster_cidrs)
			return true;
	}
	return false;
}

bool objects_nodes_all(const struct objects *o)
{
	return !prefixes_known(o);
}

static bool selects(const struct selector *s, const struct object *node)
{
	static const struct labels none;
	const struct doc_node *doc = node ? doc_item_node(object_in_force(node)) : NULL;

	return !s->present || selector_matches(s, doc ? &doc->meta.labels : &none);
}

bool objects_is_candidate(const struct objects *o, const struct object *node)
{
	const struct objects_of *of = &o->of[OBJECTS_GATEWAYS];

	for (size_t i = 0; i < of->n; i++) {
		const struct doc_gateway *g = doc_item_gateway(object_in_force(of->list[i]));

		if (g && selects(&g->node_selector, node))
			return true;
	}
	return false;
}

static void gateways_add(struct node_queries *q, const struct objects *o)
{
	const struct objects_of *of = &o->of[OBJECTS_GATEWAYS];

	for (size_t i = 0; i < of->n && !q->all; i++) {
		const struct doc_gateway *g = doc_item_gateway(object_in_force(of->list[i]));

		if (g)
			selector_add(q, &g->node_selector);
	}
}

static void policies_add(struct node_queries *q, const struct objects_of *of)
{
	for (size_t i = 0; i < of->n && !q->all; i++) {
		const struct doc_policy *p = doc_item_policy(object_in_force(of->list[i]));

		for (size_t r = 0; p && r < p->n_rules; r++)
			for (size_t k = 0; k < p->rules[r].n_to && !q->all; k++)
				if (p->rules[r].to[k].kind == TO_NODES)
					selector_add(q, &p->rules[r].to[k].nodes);
	}
}

size_t object_names_nodes(const struct object *obj)
{
	const struct doc_policy *p = doc_item_policy(object_in_force(obj));

	for (size_t r = 0; p && r < p->n_rules; r++)
		for (size_t k = 0; k < p->rules[r].n_to; k++)
			if (p->rules[r].to[k].kind == TO_NODES)
				return 1;
	return 0;
}

void objects_node_queries(const struct objects *o, const char *self, struct node_queries *ret)
{
	static const enum collection says[] = {OBJECTS_CONFIGS, OBJECTS_GATEWAYS,
					       OBJECTS_CLUSTER_POLICIES, OBJECTS_POLICIES};
	const struct object *node = objects_find(o, OBJECTS_NODES, "", self);

	*ret = (struct node_queries){.determined = true};
	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++)
		ret->determined &= o->of[says[i]].known;
	query_take(ret, mem_printf("fieldSelector=metadata.name%%3D%s", self));
	if (!ret->determined)
		return;
	if (!prefixes_known(o)) {
		all_of_them(ret);
		return;
	}
	if (!(o->of[OBJECTS_NODES].told & 1)) /* this node's labels */
		ret->determined = false;
	else if (objects_is_candidate(o, node))
		all_of_them(ret);
	if (!ret->determined || ret->all)
		return;
	gateways_add(ret, o);
	for (size_t i = 2; o->n_to_nodes && i < 4; i++)
		policies_add(ret, &o->of[says[i]]);
}
