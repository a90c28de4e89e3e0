/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of objects. One table says for each kind what it is called, how it is
 * read and where it lives in the set; adding, sorting (doc_parts.c) and freeing walk that table.
 */
#include "policy/doc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

#define API_VERSION "sluice.dev/v1alpha1"

#define KIND(type, array)                                                      \
	.size = sizeof(struct type), .items = offsetof(struct doc_set, array), \
	.n = offsetof(struct doc_set, n_##array)
#define KIND_APART(type, array)                                      \
	.size = sizeof(struct type *), .apart = sizeof(struct type), \
	.items = offsetof(struct doc_set, array), .n = offsetof(struct doc_set, n_##array)

const struct doc_kind_info doc_kinds[DOC_KINDS] = {
	[DOC_EGRESS_GATEWAY] = {"EgressGateway", API_VERSION, doc_gateway_fields, doc_gateway_done,
				KIND(doc_gateway, gateways)},
	[DOC_CLUSTER_EGRESS_POLICY] = {"ClusterEgressPolicy", API_VERSION,
				       doc_cluster_policy_fields, doc_policy_done,
				       KIND_APART(doc_policy, policies)},
	[DOC_EGRESS_POLICY] = {"EgressPolicy", API_VERSION, doc_policy_fields, doc_policy_done,
			       KIND_APART(doc_policy, policies)},
	[DOC_SLUICE_CONFIG] = {"SluiceConfig", API_VERSION, doc_config_fields, doc_config_done,
			       KIND(doc_config, configs)},
	[DOC_NODE] = {"Node", "v1", doc_node_fields, doc_node_done, KIND(doc_node, nodes)},
	[DOC_NAMESPACE] = {"Namespace", "v1", doc_namespace_fields, doc_namespace_done,
			   KIND(doc_namespace, namespaces)},
	[DOC_POD] = {"Pod", "v1", doc_pod_fields, doc_pod_done, KIND_APART(doc_pod, pods)},
	[DOC_EGRESS_DESTINATION] = {"EgressDestination", API_VERSION, doc_destination_fields,
				    doc_destination_done, KIND(doc_destination, destinations)},
	[DOC_CLUSTER_EGRESS_DESTINATION] = {"ClusterEgressDestination", API_VERSION,
					    doc_destination_fields, doc_destination_done,
					    KIND(doc_destination, destinations)},
	[DOC_SERVICE] = {"Service", "v1", doc_service_fields, doc_service_done,
			 KIND(doc_service, services)},
	[DOC_ENDPOINT_SLICE] = {"EndpointSlice", "discovery.k8s.io/v1", doc_slice_fields,
				doc_slice_done, KIND(doc_slice, slices)},
};

_Static_assert(offsetof(struct doc_gateway, meta) == 0 && offsetof(struct doc_policy, meta) == 0 &&
		       offsetof(struct doc_config, meta) == 0 &&
		       offsetof(struct doc_node, meta) == 0 &&
		       offsetof(struct doc_namespace, meta) == 0 &&
		       offsetof(struct doc_pod, meta) == 0 &&
		       offsetof(struct doc_destination, meta) == 0 &&
		       offsetof(struct doc_service, meta) == 0 &&
		       offsetof(struct doc_slice, meta) == 0,
	       "the table above relies on it");

struct doc_array doc_array_get(const struct doc_set *set, const struct doc_kind_info *k)
{
	struct doc_array a;

	memcpy(&a.items, (const char *)set + k->items, sizeof(a.items));
	memcpy(&a.n, (const char *)set + k->n, sizeof(a.n));
	return a;
}

void doc_array_put(struct doc_set *set, const struct doc_kind_info *k, struct doc_array a)
{
	memcpy((char *)set + k->items, &a.items, sizeof(a.items));
	memcpy((char *)set + k->n, &a.n, sizeof(a.n));
}

struct doc_meta *doc_array_at(struct doc_array a, const struct doc_kind_info *k, size_t i)
{
	void *at = a.items + i * k->size;

	return k->apart ? *(struct doc_meta **)at : at;
}

/* A zeroed element at the end, not yet counted. */
static void *array_reserve(struct doc_set *set, const struct doc_kind_info *k)
{
	struct doc_array a = doc_array_get(set, k);

	if ((a.n & (a.n - 1)) == 0)
		a.items = mem_resize(a.items, a.n ? a.n * 2 : 1, k->size);
	doc_array_put(set, k, a);
	return memset(a.items + a.n * k->size, 0, k->size);
}

static void array_count(struct doc_set *set, const struct doc_kind_info *k)
{
	struct doc_array a = doc_array_get(set, k);

	a.n++;
	doc_array_put(set, k, a);
}

void doc_array_lend(struct doc_set *set, const struct doc_kind_info *k,
		    const struct doc_meta *object)
{
	const void *element = k->apart ? (const void *)&object : object;

	memcpy(array_reserve(set, k), element, k->size);
	array_count(set, k);
}

struct doc_set *doc_set_new(void)
{
	return mem_alloc0(sizeof(struct doc_set));
}

static void object_done(const struct doc_kind_info *k, struct doc_meta *object)
{
	k->done(object);
	if (k->apart)
		free(object);
}

void doc_set_free(struct doc_set *set)
{
	if (!set || set->n_shared) {
		if (set)
			set->n_shared--;
		return;
	}
	for (size_t i = 0; i < DOC_KINDS; i++) {
		struct doc_array a = doc_array_get(set, doc_kinds + i);

		for (size_t k = 0; !set->n_parts && !set->n_items && k < a.n; k++)
			object_done(&doc_kinds[i], doc_array_at(a, &doc_kinds[i], k));
		free(a.items);
		doc_array_put(set, doc_kinds + i,
			      (struct doc_array){0}); /* two kinds share one array */
	}
	for (size_t i = 0; i < set->n_files; i++) {
		free(set->files[i]->name);
		free(set->files[i]);
	}
	free(set->files);
	doc_zones_done(set);
	for (size_t i = 0; i < set->n_parts; i++)
		doc_set_free(set->parts[i]);
	free(set->parts);
	for (size_t i = 0; i < set->n_items; i++)
		doc_item_free(set->items[i]);
	free(set->items);
	free(set);
}

/* ---- adding ---- */

static const struct doc_file *intern_file(struct doc_set *set, const char *name)
{
	struct doc_file *file;

	if (set->n_files && strcmp(set->files[set->n_files - 1]->name, name) == 0)
		return set->files[set->n_files - 1];
	file = mem_alloc0(sizeof(*file));
	file->name = mem_strdup(name);
	MEM_GROW(set->files, set->n_files);
	return set->files[set->n_files++] = file;
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

static int find_kind(const struct doc_ctx *c, const struct json *tree,
		     const struct doc_kind_info **ret)
{
	const char *name = "", *version = "";
	int r = parse_word(c, tree, "apiVersion", &version);

	if (r == 0)
		r = parse_word(c, tree, "kind", &name);
	if (r < 0)
		return r;
	for (const struct doc_kind_info *k = doc_kinds; k < doc_kinds + DOC_KINDS; k++) {
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
			"Namespace, Pod, Service, EndpointSlice or List, found %s",
			json_show(json_get(tree, "kind")));
}

static int add_object(const struct doc_ctx *c, const struct json *tree, void *unused)
{
	const struct doc_kind_info *k = doc_kinds;
	struct doc_ctx inner = *c;
	struct doc_meta *meta;
	void *at;
	int r = find_kind(c, tree, &k);

	if (r < 0)
		return r;
	at = array_reserve(c->set, k);
	meta = k->apart ? mem_alloc0(k->apart) : at;
	if (k->apart)
		*(struct doc_meta **)at = meta;
	meta->kind = inner.kind = (enum doc_kind)(k - doc_kinds);
	meta->src = doc_src_of(c, tree);
	r = doc_fields(&inner, tree, k->fields, meta);
	if (r < 0) {
		object_done(k, meta);
		return r;
	}
	array_count(c->set, k);
	return 0;
}

static int add_items(const struct doc_ctx *c, const struct json *j, void *out)
{
	int r = 0;

	if (json_type(j) != JSON_ARRAY)
		return doc_fail(c, j, "expected array, found %s", json_show(j));
	for (size_t i = 0; doc_goes_on(c->set, r) && i < json_len(j); i++)
		r = add_object(c, json_at(j, i), out) ?: r;
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
