/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a compile takes from the one before: the policies whose documents are the same,
 * with their rules and digests. A rule is made of its document, of destinations, gateways,
 * nodes and namespaces, and holds numbers of identities and names. So all of those must
 * be as they were, and a compile from nothing must come to the same numbers; if not,
 * nothing is taken. Most edits are of one policy and bring neither an identity nor a name.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
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

static bool surroundings_same(const struct compiled *c, const struct compiled *old)
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

	if (x->name == y->name)
		return true;
	return x->kind == y->kind && strcmp(x->name, y->name) == 0 &&
	       strcmp(x->namespace, y->namespace) == 0 && a->audit == b->audit &&
	       strings_same(a->services, a->n_services, b->services, b->n_services) &&
	       selectors_same(&a->pods, &b->pods) && selectors_same(&a->namespaces, &b->namespaces);
}

bool subjects_same(const struct compiled *c, const struct compiled *old)
{
	const struct doc_set *a = c->set, *b = old->set;

	if (c->n_policies != old->n_policies ||
	    !docs_same(DOCS(a, namespaces), DOCS(b, namespaces)) ||
	    !docs_same(docs_pods(a), docs_pods(b)) ||
	    !docs_same(DOCS(a, services), DOCS(b, services)))
		return false;
	for (size_t i = 0; i < c->n_policies; i++)
		if (!subject_same(c->policies[i].doc, old->policies[i].doc))
			return false;
	return true;
}

/* ---- identities and names: the numbers that they had ---- */

static const struct doc_via *via_of(const struct compiled_policy *p, uint32_t identity)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].identity == identity)
			return p->rules[i].rule ? &p->rules[i].rule->via : &p->doc->default_via;
	return NULL;
}

/* Asks for old's identities in their order. */
static bool identities_seed(struct identities *ids, const struct compiled *old)
{
	uint32_t next = 1;

	for (size_t i = 0; i < old->n_policies; i++)
		for (size_t k = 0; k < old->policies[i].n_identities; k++) {
			const struct compiled_policy *p = &old->policies[i];

			if (p->identities[k] < next)
				continue;
			if (identities_get(ids, p->doc, via_of(p, p->identities[k])) != next++)
				return false;
		}
	return next == old->n_identities;
}

/* True when a compile from nothing would meet them in the order of their numbers. */
static bool identities_in_order(const struct compiled *c, const struct compiled_policy *const *list,
				size_t n)
{
	uint32_t next = 1;

	for (size_t i = 0; i < c->n_policies; i++)
		for (size_t k = 0; k < list[i]->n_identities; k++) {
			if (list[i]->identities[k] > next)
				return false;
			next += list[i]->identities[k] == next;
		}
	return next == n;
}

static void names_count(uint32_t *uses, const struct compiled_policy *p, uint32_t by)
{
	for (size_t i = 0; i < p->n_rules; i++)
		for (size_t k = 0; k < p->rules[i].n_names; k++)
			uses[p->rules[i].names[k]] += by;
}

/* ---- taking ---- */

struct again {
	struct compiled *c, *old;
	struct compiled_policy **from; /* by policy of c: old's, NULL when it is to be compiled */
	bool *left;		       /* by policy of old: c does not take it */
	uint32_t *uses;
};

static bool same_policy(const struct compiled_policy *a, const struct compiled_policy *b)
{
	return a->doc->meta.name == b->doc->meta.name;
}

/* Both are in evaluation order. */
static void match(struct again *a)
{
	size_t k = 0;

	memset(a->left, true, a->old->n_policies);
	for (size_t i = 0; i < a->c->n_policies; i++) {
		const struct compiled_policy *p = &a->c->policies[i];

		while (k < a->old->n_policies && !same_policy(&a->old->policies[k], p) &&
		       compiled_policy_order(&a->old->policies[k], p) < 0)
			k++;
		if (k == a->old->n_policies || !same_policy(&a->old->policies[k], p))
			continue;
		if (!a->old->policies[k].scheduled) {
			a->from[i] = &a->old->policies[k];
			a->left[k] = false;
		}
		k++; /* the next one of c most often is the next one of old */
	}
}

static bool names_same(const struct again *a, const struct destinations *d)
{
	if (destinations_n_names(d) != a->old->n_names)
		return false;
	for (size_t i = 0; i < a->old->n_policies; i++)
		if (a->left[i])
			names_count(a->uses, &a->old->policies[i], UINT32_MAX);
	for (size_t i = 0; i < a->c->n_policies; i++)
		if (!a->from[i])
			names_count(a->uses, &a->c->policies[i], 1);
	for (size_t i = 0; i < a->old->n_names; i++)
		if (!a->uses[i])
			return false;
	return true;
}

/* Those that are not taken, with the numbers of old. */
static bool others_compile(struct again *a, struct destinations *d, struct identities *ids)
{
	struct compiled *c = a->c;
	__cleanup_free const struct compiled_policy **list = mem_alloc0(c->n_policies *
									sizeof(*list));

	for (size_t i = 0; i < a->old->n_names; i++)
		destinations_name(d, "", a->old->names[i]);
	if (!identities_seed(ids, a->old))
		return false;
	for (size_t i = 0; i < c->n_policies; i++) {
		list[i] = a->from[i];
		if (a->from[i])
			continue;
		policy_rules_compile(c, i, d, ids);
		names_sort(&c->policies[i]);
		list[i] = &c->policies[i];
	}
	if (c->n_unnamed) /* who gets the names that there are depends on all of them */
		return false;
	return identities_in_order(c, list, identities_count(ids)) && names_same(a, d);
}

static void take(struct compiled_policy *p, struct compiled_policy *from)
{
	const struct doc_policy *doc = p->doc;

	*p = *from;
	*from = (struct compiled_policy){.doc = from->doc};
	p->doc = doc;
	p->kept = true;
	for (size_t i = 0; i < p->n_rules; i++)
		p->rules[i].policy = doc;
}

static void again_done(struct again *a)
{
	free(a->from);
	free(a->left);
	free(a->uses);
}

bool policies_compile_again(struct compiled *c, struct compiled *old, struct destinations *d,
			    struct identities *ids)
{
	__cleanup(again_done) struct again a = {.c = c, .old = old};

	if (!surroundings_same(c, old) || old->n_unnamed)
		return false;
	a.from = mem_alloc0(c->n_policies * sizeof(struct compiled_policy *));
	a.left = mem_alloc0(old->n_policies);
	a.uses = mem_dup(old->name_uses, old->n_names * sizeof(*a.uses));
	match(&a);
	if (!others_compile(&a, d, ids)) {
		for (size_t i = 0; i < c->n_policies; i++)
			if (!a.from[i])
				compiled_policy_done(&c->policies[i]);
		c->next_edge = INT64_MAX;
		c->n_unnamed = 0;
		return false;
	}
	for (size_t i = 0; i < c->n_policies; i++)
		if (a.from[i])
			take(&c->policies[i], a.from[i]);
	c->names = TAKE(old->names);
	c->n_names = old->n_names;
	c->name_uses = TAKE(a.uses);
	old->n_names = 0;
	return true;
}
