/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EgressDestinations as rules find them: by name, or by label. What is not there is
 * found as nothing, so that a rule which came before its destination matches nothing
 * until it is there. Labels are indexed, since ten thousand rules may each select from a
 * thousand destinations.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "policy/compiled.h"
#include "policy/hash_index.h"

struct destinations {
	const struct doc_set *set;
	uint32_t *sets;		  /* by destination */
	struct hash_index labels; /* of namespace, key and value */
	uint32_t *labelled;	  /* by entry of labels: the destination */
	size_t n_labelled;
	uint32_t *found;
	size_t n_found;
	struct hash_index names;
	const char **patterns; /* by entry of names */
	size_t n_patterns;
	struct hash_index spaces;
	struct names_of {
		const char *namespace;
		size_t n;
	} * of; /* by entry of spaces: who brought how many of the names */
	size_t n_of;
};

static uint64_t label_hash(const char *namespace, const char *key, const char *value)
{
	return hash_str(value, hash_str(key, hash_str(namespace, 0)));
}

static void index_labels(struct destinations *d, uint32_t i)
{
	const struct doc_meta *meta = &d->set->destinations[i].meta;

	for (size_t j = 0; j < meta->labels.n; j++) {
		const struct label *l = &meta->labels.items[j];

		MEM_GROW(d->labelled, d->n_labelled);
		d->labelled[d->n_labelled++] = i;
		hash_index_add(&d->labels, label_hash(meta->namespace, l->key, l->value));
	}
}

static void add_set(struct compiled *c, const struct doc_destination *doc)
{
	const struct doc_meta *meta = &doc->meta;
	bool cluster = meta->kind == DOC_CLUSTER_EGRESS_DESTINATION;
	char *name = cluster ? mem_printf("ClusterEgressDestination %s", meta->name)
			     : mem_printf("EgressDestination %s/%s", meta->namespace, meta->name);

	MEM_GROW(c->sets, c->n_sets);
	c->sets[c->n_sets++] = (struct compiled_set){
		.name = name,
		.cidrs = doc->cidrs,
		.n = doc->n_cidrs,
		.key = doc->digest,
	};
}

struct destinations *destinations_new(struct compiled *c)
{
	struct destinations *d = mem_alloc0(sizeof(*d));
	size_t n = c->set->n_destinations;

	d->set = c->set;
	d->sets = mem_resize(NULL, n ? n : 1, sizeof(*d->sets));
	for (uint32_t i = 0; i < n; i++) {
		const struct doc_destination *doc = &c->set->destinations[i];

		d->sets[i] = UINT32_MAX;
		index_labels(d, i);
		if (doc->n_cidrs < COMPILED_SET_MIN)
			continue;
		d->sets[i] = (uint32_t)c->n_sets;
		add_set(c, doc);
	}
	return d;
}

void destinations_free(struct destinations *d)
{
	if (!d)
		return;
	hash_index_done(&d->labels);
	hash_index_done(&d->names);
	hash_index_done(&d->spaces);
	free(d->of);
	free(d->sets);
	free(d->labelled);
	free(d->found);
	free(d->patterns);
	free(d);
}

uint32_t destinations_set(const struct destinations *d, uint32_t destination)
{
	return d->sets[destination];
}

/* ---- by name ---- */

/* The first that is not before namespace/name. */
static uint32_t lower_bound(const struct doc_set *set, const char *namespace, const char *name)
{
	size_t lo = 0, hi = set->n_destinations;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct doc_meta *meta = &set->destinations[mid].meta;
		int order = strcmp(meta->namespace, namespace);

		if ((order ? order : strcmp(meta->name, name)) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

static bool lies_in(const struct destinations *d, uint32_t i, const char *namespace)
{
	return i < d->set->n_destinations &&
	       strcmp(d->set->destinations[i].meta.namespace, namespace) == 0;
}

static void found_add(struct destinations *d, uint32_t i)
{
	MEM_GROW(d->found, d->n_found);
	d->found[d->n_found++] = i;
}

static void find_by_name(struct destinations *d, const char *namespace, const char *name)
{
	uint32_t i = lower_bound(d->set, namespace, name);

	if (lies_in(d, i, namespace) && strcmp(d->set->destinations[i].meta.name, name) == 0)
		found_add(d, i);
}

/* ---- by label ---- */

static const struct selector_req *index_req(const struct selector *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->reqs[i].op == SEL_IN)
			return &s->reqs[i];
	return NULL;
}

static bool selected(const struct destinations *d, uint32_t i, const struct selector *s)
{
	return selector_matches(s, &d->set->destinations[i].meta.labels);
}

static int compare_u32(const void *va, const void *vb)
{
	const uint32_t *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

static void find_by_index(struct destinations *d, const char *namespace, const struct selector *s,
			  const struct selector_req *req)
{
	size_t out = 0;

	for (size_t v = 0; v < req->n_values; v++) {
		uint64_t hash = label_hash(namespace, req->key, req->values[v]);

		for (uint32_t i = hash_index_first(&d->labels, hash); i != HASH_INDEX_END;
		     i = hash_index_next(&d->labels, i))
			if (lies_in(d, d->labelled[i], namespace) && selected(d, d->labelled[i], s))
				found_add(d, d->labelled[i]);
	}
	if (d->n_found)
		qsort(d->found, d->n_found, sizeof(*d->found), compare_u32);
	for (size_t i = 0; i < d->n_found; i++)
		if (!out || d->found[out - 1] != d->found[i])
			d->found[out++] = d->found[i];
	d->n_found = out;
}

static void find_by_selector(struct destinations *d, const char *namespace,
			     const struct selector *s)
{
	const struct selector_req *req = index_req(s);

	if (req) {
		find_by_index(d, namespace, s, req);
		return;
	}
	for (uint32_t i = lower_bound(d->set, namespace, ""); lies_in(d, i, namespace); i++)
		if (selected(d, i, s))
			found_add(d, i);
}

size_t destinations_find(struct destinations *d, const struct doc_policy *policy,
			 const struct doc_to *to, const uint32_t **ret)
{
	const char *namespace = to->cluster_scope ? "" : policy->meta.namespace;

	d->n_found = 0;
	if (to->kind == TO_DESTINATION)
		find_by_name(d, namespace, to->destination);
	else
		find_by_selector(d, namespace, &to->destinations);
	*ret = d->found;
	return d->n_found;
}

/* ---- names ---- */

static struct names_of *names_of(struct destinations *d, const char *namespace)
{
	uint64_t hash = hash_str(namespace, 0);

	for (uint32_t i = hash_index_first(&d->spaces, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&d->spaces, i))
		if (strcmp(d->of[i].namespace, namespace) == 0)
			return &d->of[i];
	MEM_GROW(d->of, d->n_of);
	d->of[d->n_of++] = (struct names_of){.namespace = namespace};
	return &d->of[hash_index_add(&d->spaces, hash)];
}

/* No namespace can use up what all of them have; what the cluster's objects bring may be more. */
static bool name_permitted(struct destinations *d, const char *namespace)
{
	struct names_of *of;

	if (d->n_patterns >= COMPILED_NAMES_MAX)
		return false;
	if (!*namespace)
		return true;
	of = names_of(d, namespace);
	return of->n < COMPILED_NAMES_OF_ONE && ++of->n;
}

uint32_t destinations_name(struct destinations *d, const char *namespace, const char *pattern)
{
	uint64_t hash = hash_str(pattern, 0);

	for (uint32_t i = hash_index_first(&d->names, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&d->names, i))
		if (strcmp(d->patterns[i], pattern) == 0)
			return i;
	if (!name_permitted(d, namespace))
		return UINT32_MAX;
	MEM_GROW(d->patterns, d->n_patterns);
	d->patterns[d->n_patterns++] = pattern;
	return hash_index_add(&d->names, hash);
}

struct place {
	const char *pattern;
	uint32_t number;
};

static int compare_places(const void *va, const void *vb)
{
	return strcmp(((const struct place *)va)->pattern, ((const struct place *)vb)->pattern);
}

size_t destinations_n_names(const struct destinations *d)
{
	return d->n_patterns;
}

static void rule_names_sort(struct flat_rule *r)
{
	size_t out = 0;

	if (r->n_names)
		qsort(r->names, r->n_names, sizeof(*r->names), compare_u32);
	for (size_t i = 0; i < r->n_names; i++)
		if (!out || r->names[out - 1] != r->names[i])
			r->names[out++] = r->names[i];
	r->n_names = out;
}

void names_sort(struct compiled_policy *p)
{
	for (size_t i = 0; i < p->n_rules; i++)
		rule_names_sort(&p->rules[i]);
}

static void rule_renumber(struct compiled *c, struct flat_rule *r, const uint32_t *places)
{
	for (size_t i = 0; i < r->n_names; i++)
		r->names[i] = places[r->names[i]];
	rule_names_sort(r);
	for (size_t i = 0; i < r->n_names; i++)
		c->name_uses[r->names[i]]++;
}

void names_emit(struct destinations *d, struct compiled *c)
{
	__cleanup_free struct place *sorted = mem_alloc0(d->n_patterns * sizeof(*sorted));
	__cleanup_free uint32_t *places = mem_alloc0(d->n_patterns * sizeof(*places));

	if (!d->n_patterns)
		return;
	for (uint32_t i = 0; i < d->n_patterns; i++)
		sorted[i] = (struct place){d->patterns[i], i};
	qsort(sorted, d->n_patterns, sizeof(*sorted), compare_places);
	c->n_names = d->n_patterns;
	c->names = mem_alloc0(c->n_names * sizeof(*c->names));
	c->name_uses = mem_alloc0(c->n_names * sizeof(*c->name_uses));
	for (uint32_t i = 0; i < d->n_patterns; i++) {
		places[sorted[i].number] = i;
		c->names[i] = mem_strdup(sorted[i].pattern);
	}
	for (size_t i = 0; i < c->n_policies; i++)
		for (size_t j = 0; j < c->policies[i].n_rules; j++)
			rule_renumber(c, &c->policies[i].rules[j], places);
}
