/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy of a namespace is concerned by all of the cluster, and by those of its namespace that
 * surely select all its pods; one of the cluster by others of the cluster. What selects all the
 * pods that another selects asks for nothing that the other does not ask for. So each policy of a
 * namespace is filed under one label that it asks for, its anchor, and is looked for under those
 * that the other asks for. This is what keeps lint of ten thousand policies from asking each of
 * each; what is found is still to be asked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/lint_priv.h"

/* Without a label, key and value are "". */
struct lint_anchor {
	const char *namespace, *key, *value; /* borrowed; namespace "" of a cluster's policy */
	uint32_t place;			     /* in c->policies */
};

static int cmp_labels(const struct lint_anchor *a, const struct lint_anchor *b)
{
	int c = strcmp(a->namespace, b->namespace);

	if (c == 0)
		c = strcmp(a->key, b->key);
	return c ? c : strcmp(a->value, b->value);
}

static int cmp_anchors(const void *va, const void *vb)
{
	return cmp_labels(va, vb);
}

static struct lint_anchor anchor_of(const struct doc_policy *p, uint32_t place)
{
	struct lint_anchor a = {p->meta.namespace, "", "", place};

	if (p->meta.kind == DOC_CLUSTER_EGRESS_POLICY || p->n_services)
		return a;
	for (size_t i = 0; i < p->pods.n; i++)
		if (p->pods.reqs[i].op == SEL_IN && p->pods.reqs[i].n_values == 1) {
			a.key = p->pods.reqs[i].key;
			a.value = p->pods.reqs[i].values[0];
			break;
		}
	return a;
}

void lint_anchors_init(struct lint_world *w)
{
	size_t n = w->c->n_policies;

	w->anchors = mem_alloc0((n + 1) * sizeof(*w->anchors));
	for (size_t i = 0; i < n; i++)
		w->anchors[i] = anchor_of(w->c->policies[i].doc, (uint32_t)i);
	qsort(w->anchors, n, sizeof(*w->anchors), cmp_anchors);
}

/* The first that does not come before a. */
static size_t lower(const struct lint_world *w, const struct lint_anchor *a)
{
	size_t lo = 0, hi = w->c->n_policies;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cmp_labels(&w->anchors[mid], a) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* key NULL: the whole namespace. */
static void near_add(struct lint_world *w, const char *namespace, const char *key,
		     const char *value)
{
	const struct lint_anchor wanted = {namespace, key ?: "", value ?: "", 0};

	for (size_t i = lower(w, &wanted); i < w->c->n_policies; i++) {
		const struct lint_anchor *a = &w->anchors[i];

		if (key ? cmp_labels(a, &wanted) != 0 : strcmp(a->namespace, namespace) != 0)
			break;
		MEM_GROW(w->near, w->n_near);
		w->near[w->n_near++] = a->place;
	}
}

static int cmp_places(const void *va, const void *vb)
{
	const uint32_t *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

static void near_sort(struct lint_world *w)
{
	size_t n = 0;

	if (w->n_near)
		qsort(w->near, w->n_near, sizeof(*w->near), cmp_places);
	for (size_t i = 0; i < w->n_near; i++)
		if (!n || w->near[n - 1] != w->near[i]) /* by two requirements */
			w->near[n++] = w->near[i];
	w->n_near = n;
}

void lint_near(struct lint_world *w, size_t index)
{
	const struct doc_policy *me = w->c->policies[index].doc;
	const char *namespace = me->meta.namespace;

	w->n_near = 0;
	near_add(w, "", NULL, NULL);
	if (me->meta.kind != DOC_CLUSTER_EGRESS_POLICY) {
		/* of Services, the pods' labels are the Services' own */
		near_add(w, namespace, me->n_services ? NULL : "", "");
		for (size_t i = 0; !me->n_services && i < me->pods.n; i++) {
			const struct selector_req *r = &me->pods.reqs[i];

			for (size_t k = 0; r->op == SEL_IN && k < r->n_values; k++)
				near_add(w, namespace, r->key, r->values[k]);
		}
	}
	near_sort(w);
}
