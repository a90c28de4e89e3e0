/* SPDX-License-Identifier: Apache-2.0 */
/* Is all that a compile goes by, but for the policies, as it was for the one before? */
#include <string.h>

#include "base/hash.h"
#include "policy/compiled.h"

static uint64_t hash_cidrs(const struct cidr *v, size_t n, uint64_t h)
{
	return n ? cidrs_digest(v, n, h) : hash_bytes(&n, sizeof(n), h);
}

uint64_t view_digest(const struct node_view *node)
{
	uint64_t h = hash_str(node->name, node->n_ifaces);

	for (size_t i = 0; i < node->n_ifaces; i++)
		h = hash_cidrs(node->ifaces[i].addrs, node->ifaces[i].n_addrs,
			       hash_str(node->ifaces[i].name, h));
	return hash_cidrs(node->cluster_cidrs, node->n_cluster_cidrs, h);
}

/* ---- is all around the policies as it was? ---- */

struct docs {
	const void *items; /* each begins with its doc_meta, or (apart) points to it */
	size_t n, size;
	bool apart;
};

static const struct doc_meta *doc_at(struct docs d, size_t i)
{
	const void *at = (const char *)d.items + i * d.size;

	return d.apart ? *(const struct doc_meta *const *)at : at;
}

/* One document has one name, wherever it was copied to; both sets are there. */
static bool docs_same(struct docs a, struct docs b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (doc_at(a, i)->name != doc_at(b, i)->name)
			return false;
	return true;
}

#define DOCS(set, array) \
	((struct docs){.items = (set)->array, .n = (set)->n_##array, .size = sizeof(*(set)->array)})

static struct docs docs_pods(const struct doc_set *set)
{
	struct docs d = DOCS(set, pods);

	d.apart = true;
	return d;
}

bool surroundings_same(const struct compiled *c, const struct compiled *old)
{
	const struct doc_set *a = c->set, *b = old->set;

	return c->view_digest == old->view_digest &&
	       docs_same(DOCS(a, gateways), DOCS(b, gateways)) &&
	       docs_same(DOCS(a, configs), DOCS(b, configs)) &&
	       docs_same(DOCS(a, nodes), DOCS(b, nodes)) &&
	       docs_same(DOCS(a, namespaces), DOCS(b, namespaces)) &&
	       docs_same(DOCS(a, destinations), DOCS(b, destinations));
}

/* ---- and the pods that each selects? ---- */

static bool strings_same(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool selectors_same(const struct selector *a, const struct selector *b)
{
	if (a->present != b->present || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct selector_req *x = &a->reqs[i], *y = &b->reqs[i];

		if (x->op != y->op || strcmp(x->key, y->key) != 0 ||
		    !strings_same(x->values, x->n_values, y->values, y->n_values))
			return false;
	}
	return true;
}

static bool subject_same(const struct doc_policy *a, const struct doc_policy *b)
{
	const struct doc_meta *x = &a->meta, *y = &b->meta;

	if (a == b)
		return true;
	return x->kind == y->kind && strcmp(x->name, y->name) == 0 &&
	       strcmp(x->namespace, y->namespace) == 0 && a->audit == b->audit &&
	       strings_same(a->services, a->n_services, b->services, b->n_services) &&
	       selectors_same(&a->pods, &b->pods) && selectors_same(&a->namespaces, &b->namespaces);
}

static bool pods_same(const struct doc_set *a, const struct doc_set *b)
{
	return docs_same(DOCS(a, namespaces), DOCS(b, namespaces)) &&
	       docs_same(docs_pods(a), docs_pods(b)) &&
	       docs_same(DOCS(a, services), DOCS(b, services));
}

static bool subjects_same(const struct compiled *c, const struct compiled *old)
{
	if (c->n_policies != old->n_policies)
		return false;
	for (size_t i = 0; i < c->n_policies; i++)
		if (!subject_same(c->policies[i].doc, old->policies[i].doc))
			return false;
	return true;
}

bool subjects_take(struct compiled *c, struct compiled *old)
{
	bool same = pods_same(c->set, old->set);

	for (size_t i = 0; same && c->edited && i < c->n_edited; i++) {
		const struct compiled_policy *p = &c->policies[c->edited[i]];

		same = subject_same(p->doc, old->set->policies[p->place]);
	}
	if (!same || (!c->edited && !subjects_same(c, old)))
		return false;
	c->subjects = TAKE(old->subjects);
	c->subjects_len = old->subjects_len;
	image_subjects_digests(c);
	return true;
}
