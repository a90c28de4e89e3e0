/* SPDX-License-Identifier: Apache-2.0 */
/* Which policies concern the same pods, as far as their text tells. */
#include <string.h>

#include "policy/lint_priv.h"

/* ---- selectors ---- */

static bool has_value(const struct selector_req *r, const char *value)
{
	for (size_t i = 0; i < r->n_values; i++)
		if (strcmp(r->values[i], value) == 0)
			return true;
	return false;
}

static bool values_within(const struct selector_req *inner, const struct selector_req *outer)
{
	for (size_t i = 0; i < inner->n_values; i++)
		if (!has_value(outer, inner->values[i]))
			return false;
	return true;
}

static bool values_meet(const struct selector_req *a, const struct selector_req *b)
{
	for (size_t i = 0; i < a->n_values; i++)
		if (has_value(b, a->values[i]))
			return true;
	return false;
}

/* Does whatever has b have a? */
static bool req_implied(const struct selector_req *a, const struct selector_req *b)
{
	if (strcmp(a->key, b->key) != 0)
		return false;
	switch (a->op) {
	case SEL_IN:
		return b->op == SEL_IN && values_within(b, a);
	case SEL_NOT_IN:
		return b->op == SEL_DOES_NOT_EXIST ||
		       (b->op == SEL_NOT_IN && values_within(a, b)) ||
		       (b->op == SEL_IN && !values_meet(a, b));
	case SEL_EXISTS:
		return b->op == SEL_EXISTS || b->op == SEL_IN;
	case SEL_DOES_NOT_EXIST:
		return b->op == SEL_DOES_NOT_EXIST;
	}
	return false;
}

static bool selector_covers(const struct selector *a, const struct selector *b)
{
	for (size_t i = 0; i < a->n; i++) {
		bool implied = false;

		for (size_t k = 0; !implied && k < b->n; k++)
			implied = req_implied(&a->reqs[i], &b->reqs[k]);
		if (!implied)
			return false;
	}
	return true;
}

static bool reqs_exclude(const struct selector_req *a, const struct selector_req *b)
{
	if (strcmp(a->key, b->key) != 0)
		return false;
	if (a->op == SEL_IN && b->op == SEL_IN)
		return !values_meet(a, b);
	if (a->op == SEL_IN && b->op == SEL_NOT_IN)
		return values_within(a, b);
	return b->op == SEL_DOES_NOT_EXIST && (a->op == SEL_IN || a->op == SEL_EXISTS);
}

static bool selectors_meet(const struct selector *a, const struct selector *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (reqs_exclude(&a->reqs[i], &b->reqs[k]) ||
			    reqs_exclude(&b->reqs[k], &a->reqs[i]))
				return false;
	return true;
}

/* ---- subjects ---- */

static bool is_cluster(const struct doc_policy *p)
{
	return p->meta.kind == DOC_CLUSTER_EGRESS_POLICY;
}

static const struct doc_service *service_find(const struct doc_set *set, const char *namespace,
					      const char *name)
{
	for (size_t i = 0; i < set->n_services; i++)
		if (strcmp(set->services[i].meta.namespace, namespace) == 0 &&
		    strcmp(set->services[i].meta.name, name) == 0)
			return &set->services[i];
	return NULL;
}

static bool names_service(const struct doc_policy *p, const char *name)
{
	for (size_t i = 0; i < p->n_services; i++)
		if (strcmp(p->services[i], name) == 0)
			return true;
	return false;
}

static bool pods_cover(const struct doc_set *set, const struct doc_policy *a,
		       const struct doc_policy *b)
{
	if (!b->n_services)
		return !a->n_services && selector_covers(&a->pods, &b->pods);
	for (size_t i = 0; i < b->n_services; i++) {
		const struct doc_service *s = service_find(set, b->meta.namespace, b->services[i]);

		if (a->n_services
			    ? !names_service(a, b->services[i])
			    : s && s->selector.present && !selector_covers(&a->pods, &s->selector))
			return false;
	}
	return true;
}

static bool nodes_cover(const struct doc_policy *a, const struct doc_policy *b)
{
	return !a->nodes.present || (b->nodes.present && selector_covers(&a->nodes, &b->nodes));
}

static bool namespaces_cover(const struct doc_set *set, const struct doc_policy *a,
			     const struct doc_policy *b)
{
	if (!is_cluster(a))
		return !is_cluster(b) && strcmp(a->meta.namespace, b->meta.namespace) == 0;
	if (!a->namespaces.present)
		return true;
	if (!is_cluster(b))
		return namespace_selected(set, b->meta.namespace, &a->namespaces);
	return a->namespaces.n == 0 ||
	       (b->namespaces.present && selector_covers(&a->namespaces, &b->namespaces));
}

bool subject_covers(const struct doc_set *set, const struct doc_policy *a,
		    const struct doc_policy *b)
{
	return namespaces_cover(set, a, b) && nodes_cover(a, b) && pods_cover(set, a, b);
}

static bool namespaces_meet(const struct doc_set *set, const struct doc_policy *a,
			    const struct doc_policy *b)
{
	if (!is_cluster(a) && !is_cluster(b))
		return strcmp(a->meta.namespace, b->meta.namespace) == 0;
	if (is_cluster(a) && is_cluster(b))
		return selectors_meet(&a->namespaces, &b->namespaces);
	if (!is_cluster(a))
		return namespaces_meet(set, b, a);
	return !a->namespaces.present || namespace_selected(set, b->meta.namespace, &a->namespaces);
}

bool subjects_meet(const struct doc_set *set, const struct doc_policy *a,
		   const struct doc_policy *b)
{
	return namespaces_meet(set, a, b) && selectors_meet(&a->nodes, &b->nodes) &&
	       (a->n_services || b->n_services || selectors_meet(&a->pods, &b->pods));
}
