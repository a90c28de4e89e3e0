/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of objects. One table says for each kind what it is called, how it is
 * read and where it lives in the set; adding, sorting and freeing walk that table.
 */
#include "policy/doc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

#define API_VERSION "sluice.dev/v1alpha1"

struct kind {
	const char *name, *api_version;
	const struct field *fields;
	void (*done)(void *);
	size_t size;	 /* of an element; each begins with its doc_meta */
	size_t items, n; /* where array and count are in struct doc_set */
};

#define KIND(type, array)                                                      \
	.size = sizeof(struct type), .items = offsetof(struct doc_set, array), \
	.n = offsetof(struct doc_set, n_##array)

static const struct kind kinds[] = {
	[DOC_EGRESS_GATEWAY] = {"EgressGateway", API_VERSION, doc_gateway_fields, doc_gateway_done,
				KIND(doc_gateway, gateways)},
	[DOC_CLUSTER_EGRESS_POLICY] = {"ClusterEgressPolicy", API_VERSION,
				       doc_cluster_policy_fields, doc_policy_done,
				       KIND(doc_policy, policies)},
	[DOC_EGRESS_POLICY] = {"EgressPolicy", API_VERSION, doc_policy_fields, doc_policy_done,
			       KIND(doc_policy, policies)},
	[DOC_SLUICE_CONFIG] = {"SluiceConfig", API_VERSION, doc_config_fields, doc_config_done,
			       KIND(doc_config, configs)},
	[DOC_NODE] = {"Node", "v1", doc_node_fields, doc_node_done, KIND(doc_node, nodes)},
	[DOC_NAMESPACE] = {"Namespace", "v1", doc_namespace_fields, doc_namespace_done,
			   KIND(doc_namespace, namespaces)},
	[DOC_POD] = {"Pod", "v1", doc_pod_fields, doc_pod_done, KIND(doc_pod, pods)},
	[DOC_EGRESS_DESTINATION] = {"EgressDestination", API_VERSION, doc_destination_fields,
				    doc_destination_done, KIND(doc_destination, destinations)},
	[DOC_CLUSTER_EGRESS_DESTINATION] = {"ClusterEgressDestination", API_VERSION,
					    doc_destination_fields, doc_destination_done,
					    KIND(doc_destination, destinations)},
	[DOC_SERVICE] = {"Service", "v1", doc_service_fields, doc_service_done,
			 KIND(doc_service, services)},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

_Static_assert(offsetof(struct doc_gateway, meta) == 0 && offsetof(struct doc_policy, meta) == 0 &&
		       offsetof(struct doc_config, meta) == 0 &&
		       offsetof(struct doc_node, meta) == 0 &&
		       offsetof(struct doc_namespace, meta) == 0 &&
		       offsetof(struct doc_pod, meta) == 0 &&
		       offsetof(struct doc_destination, meta) == 0 &&
		       offsetof(struct doc_service, meta) == 0,
	       "the table above relies on it");

/* The array of a kind, by value: array pointers have different types, so they are copied. */
struct array {
	char *items;
	size_t n;
};

static struct array array_get(const struct doc_set *set, const struct kind *k)
{
	struct array a;

	memcpy(&a.items, (const char *)set + k->items, sizeof(a.items));
	memcpy(&a.n, (const char *)set + k->n, sizeof(a.n));
	return a;
}

static void array_put(struct doc_set *set, const struct kind *k, struct array a)
{
	memcpy((char *)set + k->items, &a.items, sizeof(a.items));
	memcpy((char *)set + k->n, &a.n, sizeof(a.n));
}

/* A zeroed element at the end, not yet counted. */
static void *array_reserve(struct doc_set *set, const struct kind *k)
{
	struct array a = array_get(set, k);

	if ((a.n & (a.n - 1)) == 0)
		a.items = mem_resize(a.items, a.n ? a.n * 2 : 1, k->size);
	array_put(set, k, a);
	return memset(a.items + a.n * k->size, 0, k->size);
}

struct doc_set *doc_set_new(void)
{
	return mem_alloc0(sizeof(struct doc_set));
}

void doc_set_free(struct doc_set *set)
{
	if (!set || set->n_shared) {
		if (set)
			set->n_shared--;
		return;
	}
	for (size_t i = 0; i < N_KINDS; i++) {
		struct array a = array_get(set, kinds + i);

		for (size_t k = 0; !set->n_parts && k < a.n; k++)
			kinds[i].done(a.items + k * kinds[i].size);
		free(a.items);
		array_put(set, kinds + i, (struct array){0}); /* two kinds share one array */
	}
	for (size_t i = 0; i < set->n_files; i++)
		free(set->files[i]);
	free(set->files);
	doc_zones_done(set);
	for (size_t i = 0; i < set->n_parts; i++)
		doc_set_free(set->parts[i]);
	free(set->parts);
	free(set);
}

/* ---- parts ---- */

struct doc_set *doc_set_ref(struct doc_set *set)
{
	set->n_shared++;
	return set;
}

/* As MEM_GROW has it: 0 or a power of two. */
static size_t capacity(size_t n)
{
	return n < 2 ? n : 1ull << (64 - __builtin_clzll(n - 1));
}

static void array_append(struct doc_set *set, const struct kind *k, struct array add)
{
	struct array a = array_get(set, k);

	if (a.n + add.n > capacity(a.n))
		a.items = mem_resize(a.items, capacity(a.n + add.n), k->size);
	if (add.n)
		memcpy(a.items + a.n * k->size, add.items, add.n * k->size);
	a.n += add.n;
	array_put(set, k, a);
}

void doc_set_add_part(struct doc_set *set, struct doc_set *part)
{
	bool done[sizeof(struct doc_set)] = {0}; /* two kinds share one array */

	for (size_t i = 0; i < N_KINDS; i++) {
		if (!done[kinds[i].items])
			array_append(set, kinds + i, array_get(part, kinds + i));
		done[kinds[i].items] = true;
	}
	MEM_GROW(set->parts, set->n_parts);
	set->parts[set->n_parts++] = doc_set_ref(part);
}

/* ---- adding ---- */

static const char *intern_file(struct doc_set *set, const char *file)
{
	if (set->n_files && strcmp(set->files[set->n_files - 1], file) == 0)
		return set->files[set->n_files - 1];
	MEM_GROW(set->files, set->n_files);
	return set->files[set->n_files++] = mem_strdup(file);
}

static int parse_word(const struct doc_ctx *c, const struct json *tree, const char *field,
		      const char **ret)
{
	const struct json *j = json_get(tree, field);

	if (json_type(tree) != JSON_OBJECT)
		return doc_fail(c, tree, "expected object, found %s", json_show(tree));
	if (!j)
		return doc_fail(c, tree, "expected a field '%s', found none", field);
	return doc_string(c, j, DOC_MAX_NAME, ret);
}

static int find_kind(const struct doc_ctx *c, const struct json *tree, const struct kind **ret)
{
	const char *name = "", *version = "";
	int r = parse_word(c, tree, "apiVersion", &version);

	if (r == 0)
		r = parse_word(c, tree, "kind", &name);
	if (r < 0)
		return r;
	for (const struct kind *k = kinds; k < kinds + N_KINDS; k++) {
		if (strcmp(k->name, name) != 0)
			continue;
		if (strcmp(k->api_version, version) != 0)
			return doc_fail(c, json_get(tree, "apiVersion"),
					"expected %s for %s, found %s", k->api_version, name,
					json_show(json_get(tree, "apiVersion")));
		*ret = k;
		return 0;
	}
	return doc_fail(c, json_get(tree, "kind"),
			"expected EgressGateway, ClusterEgressPolicy, EgressPolicy, "
			"ClusterEgressDestination, EgressDestination, SluiceConfig, Node, "
			"Namespace, Pod, Service or List, found %s",
			json_show(json_get(tree, "kind")));
}

static int add_object(const struct doc_ctx *c, const struct json *tree, void *unused)
{
	const struct kind *k = kinds;
	struct doc_ctx inner = *c;
	struct array a;
	char *item;
	struct doc_meta *meta;
	int r = find_kind(c, tree, &k);

	if (r < 0)
		return r;
	item = array_reserve(c->set, k);
	meta = (void *)item;
	meta->kind = inner.kind = (enum doc_kind)(k - kinds);
	meta->src = doc_src_of(c, tree);
	r = doc_fields(&inner, tree, k->fields, item);
	if (r < 0) {
		k->done(item);
		return r;
	}
	a = array_get(c->set, k);
	a.n++;
	array_put(c->set, k, a);
	return 0;
}

static int add_items(const struct doc_ctx *c, const struct json *j, void *out)
{
	int r = json_type(j) == JSON_ARRAY
			? 0
			: doc_fail(c, j, "expected array, found %s", json_show(j));

	for (size_t i = 0; r == 0 && i < json_len(j); i++)
		r = add_object(c, json_at(j, i), out);
	return r;
}

int doc_set_add(struct doc_set *set, const struct json *tree, const char *file, struct err *e)
{
	static const struct field list_fields[] = {
		{.name = "apiVersion"},
		{.name = "kind"},
		{.name = "metadata", .use = FIELD_IGNORED},
		{.name = "items", .parse = add_items, .use = FIELD_REQUIRED},
		FIELDS_END,
	};
	struct err local = {0};
	struct doc_ctx c = {.set = set, .file = intern_file(set, file), .e = e ? e : &local};
	const char *version = "", *kind = "";
	int r = parse_word(&c, tree, "apiVersion", &version);

	if (r == 0)
		r = parse_word(&c, tree, "kind", &kind);
	if (r < 0)
		return r;
	if (strcmp(kind, "List") == 0 && strcmp(version, "v1") == 0)
		return doc_fields(&c, tree, list_fields, NULL);
	return add_object(&c, tree, NULL);
}

/* ---- finishing ---- */

static int cmp_metas(const void *a, const void *b)
{
	const struct doc_meta *x = a, *y = b;
	int c = strcmp(x->namespace, y->namespace);

	if (c == 0)
		c = strcmp(x->name, y->name);
	if (c == 0)
		c = strcmp(x->src.file, y->src.file);
	return c ? c : (x->src.line > y->src.line) - (x->src.line < y->src.line);
}

#define FEW_PARTS 8 /* with more of them changed, sorting anew is cheaper than asking */

/* The parts of a set that another one does not have; beyond FEW_PARTS it does not matter which. */
struct parts {
	struct doc_set **list;
	size_t n;
};

/* Its index in other, from `from` on and then from the start: most stand in the same order. */
static size_t part_find(const struct doc_set *other, const struct doc_set *part, size_t from)
{
	for (size_t i = from; i < other->n_parts; i++)
		if (other->parts[i] == part)
			return i;
	for (size_t i = 0; i < from; i++)
		if (other->parts[i] == part)
			return i;
	return SIZE_MAX;
}

static struct parts parts_beyond(const struct doc_set *set, const struct doc_set *other)
{
	struct parts p = {.list = mem_alloc0((FEW_PARTS + 1) * sizeof(struct doc_set *))};
	size_t from = 0;

	for (size_t i = 0; i < set->n_parts && p.n <= FEW_PARTS; i++) {
		size_t at = part_find(other, set->parts[i], from);

		if (at == SIZE_MAX)
			p.list[p.n++] = set->parts[i];
		else
			from = at + 1;
	}
	return p;
}

static void parts_done(struct parts *p)
{
	free(p->list);
}

/* Each part has its own copy of its files' names, which its objects point to. */
static bool parts_have(const struct parts *p, const char *file)
{
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < p->list[i]->n_files; k++)
			if (p->list[i]->files[k] == file)
				return true;
	return false;
}

struct change {
	const struct doc_set *before; /* finished */
	struct parts gone, come;
};

/* Sorted as before was, without what is gone, and with what has come. */
static void array_merge(struct doc_set *set, const struct kind *k, const struct change *change)
{
	struct array a = array_get(set, k), old = array_get(change->before, k), come = {0};
	__cleanup_free char *items = mem_resize(NULL, a.n, k->size);
	char *out = items;
	size_t next = 0;

	for (size_t i = 0; i < a.n; i++) {
		const struct doc_meta *m = (void *)(a.items + i * k->size);

		if (parts_have(&change->come, m->src.file))
			memmove(a.items + come.n++ * k->size, m, k->size);
	}
	come.items = a.items;
	if (come.n)
		qsort(come.items, come.n, k->size, cmp_metas);
	for (size_t i = 0; i < old.n; i++) {
		const struct doc_meta *m = (void *)(old.items + i * k->size);

		if (parts_have(&change->gone, m->src.file))
			continue;
		for (; next < come.n && cmp_metas(come.items + next * k->size, m) < 0; next++)
			out = mempcpy(out, come.items + next * k->size, k->size);
		out = mempcpy(out, m, k->size);
	}
	memcpy(out, come.items + next * k->size, (come.n - next) * k->size);
	memcpy(a.items, items, a.n * k->size);
}

static int sort_kind(struct doc_set *set, const struct kind *k, const struct change *change,
		     struct err *e)
{
	struct array a = array_get(set, k);

	if (a.n && change)
		array_merge(set, k, change);
	else if (a.n)
		qsort(a.items, a.n, k->size, cmp_metas);
	for (size_t i = 1; i < a.n; i++) {
		const struct doc_meta *x = (void *)(a.items + (i - 1) * k->size);
		const struct doc_meta *y = (void *)(a.items + i * k->size);

		if (strcmp(x->namespace, y->namespace) == 0 && strcmp(x->name, y->name) == 0)
			return err_set(e, -EEXIST,
				       "%s:%d: metadata.name: %s %s%s%s given already in %s:%d",
				       y->src.file, y->src.line, kinds[y->kind].name, y->namespace,
				       *y->namespace ? "/" : "", y->name, x->src.file, x->src.line);
	}
	return 0;
}

static int sort_all(struct doc_set *set, const struct change *change, struct err *e)
{
	bool done[sizeof(struct doc_set)] = {0}; /* two kinds share one array */

	for (size_t i = 0; i < N_KINDS; i++) {
		int r = done[kinds[i].items] ? 0 : sort_kind(set, kinds + i, change, e);

		if (r < 0)
			return r;
		done[kinds[i].items] = true;
	}
	return 0;
}

static bool parts_say_gateways(const struct parts *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i]->n_gateways)
			return true;
	return false;
}

/* What was right with the same gateways still is. */
static int check_change(const struct doc_set *set, const struct change *change, struct err *e)
{
	int r = doc_check_overlaps(set, e);

	if (r < 0 || parts_say_gateways(&change->gone) || parts_say_gateways(&change->come))
		return r < 0 ? -EINVAL : doc_check_vias(set, e);
	for (size_t i = 0; i < set->n_policies; i++) {
		if (!parts_have(&change->come, set->policies[i].meta.src.file))
			continue;
		r = doc_check_policy_vias(set, &set->policies[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What is checked of a whole set, and how: NULL, NULL when nothing is. */
struct checks {
	int (*all)(const struct doc_set *set, struct err *e);
	int (*change)(const struct doc_set *set, const struct change *change, struct err *e);
};

static int check_all(const struct doc_set *set, struct err *e)
{
	return doc_check_overlaps(set, e) < 0 ? -EINVAL : doc_check_vias(set, e);
}

static int finish(struct doc_set *set, const struct doc_set *before, const struct checks *checks,
		  struct err *e)
{
	struct change change = {.before = before};
	bool few = false;
	int r;

	if (before) {
		change.gone = parts_beyond(before, set);
		change.come = parts_beyond(set, before);
		few = change.gone.n <= FEW_PARTS && change.come.n <= FEW_PARTS;
	}
	r = sort_all(set, few ? &change : NULL, e);
	if (r == 0 && checks)
		r = few ? checks->change(set, &change, e) : checks->all(set, e);
	parts_done(&change.gone);
	parts_done(&change.come);
	return r;
}

int doc_set_finish(struct doc_set *set, struct err *e)
{
	return doc_set_finish_after(set, NULL, e);
}

int doc_set_finish_after(struct doc_set *set, const struct doc_set *before, struct err *e)
{
	static const struct checks checks = {check_all, check_change};

	return finish(set, before, &checks, e);
}

void doc_set_join(struct doc_set *set, const struct doc_set *before)
{
	finish(set, before, NULL, NULL);
}
