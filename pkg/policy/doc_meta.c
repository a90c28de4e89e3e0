/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

void doc_meta_done(struct doc_meta *m)
{
	free(m->namespace);
	free(m->name);
	labels_done(&m->labels);
}

static bool is_namespaced(enum doc_kind kind)
{
	return kind == DOC_EGRESS_POLICY || kind == DOC_POD || kind == DOC_EGRESS_DESTINATION ||
	       kind == DOC_SERVICE || kind == DOC_ENDPOINT_SLICE;
}

static int parse_name(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_meta *m = out;

	return m->kind == DOC_NAMESPACE ? doc_dns_label(c, j, &m->name)
					: doc_subdomain(c, j, &m->name);
}

static int parse_namespace(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_meta *m = out;
	const char *s = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	if (r < 0 || (!is_namespaced(m->kind) && !*s))
		return r;
	if (!is_namespaced(m->kind))
		return doc_fail(c, j, "expected no namespace on a kind of cluster scope, found %s",
				json_show(j));
	return doc_dns_label(c, j, &m->namespace);
}

/* Labels are checked. Annotations are not read: the API server lets their keys be in any case. */
static int parse_map(const struct doc_ctx *c, const struct json *j, struct labels *out)
{
	if (json_type(j) != JSON_OBJECT || json_len(j) > DOC_MAX_LABELS)
		return doc_fail(c, j, "expected an object of at most %d members, found %s with %zu",
				DOC_MAX_LABELS, json_show(j), json_len(j));
	for (size_t i = 0; i < json_len(j); i++) {
		const struct json *value = json_value_at(j, i);
		const char *s = "";
		int r = doc_string(c, value, DOC_MAX_STRING, &s);

		if (r < 0)
			return r;
		if (!out)
			continue;
		if (label_key_check(json_key_at(j, i)) < 0)
			return doc_fail(c, value, "expected a label key");
		if (label_value_check(s) < 0)
			return doc_fail(c, value, "expected a label value, found %s",
					json_show(value));
		labels_set(out, json_key_at(j, i), s);
	}
	return 0;
}

static int parse_labels(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_map(c, j, &((struct doc_meta *)out)->labels);
}

static int parse_annotations(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_map(c, j, NULL);
}

#define META_FIELDS                                                   \
	{.name = "name", .parse = parse_name, .use = FIELD_REQUIRED}, \
		{.name = "namespace", .parse = parse_namespace},      \
		{.name = "labels", .parse = parse_labels},            \
	{                                                             \
		.name = "annotations", .parse = parse_annotations     \
	}

static int parse_meta(const struct doc_ctx *c, const struct json *j, const struct field *fields,
		      struct doc_meta *m)
{
	int r = doc_fields(c, j, fields, m);

	if (r == 0 && !m->namespace)
		m->namespace = mem_strdup(is_namespaced(m->kind) ? "default" : "");
	return r;
}

int doc_meta_parse(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		META_FIELDS,
		{.name = "uid", .use = FIELD_IGNORED},
		{.name = "resourceVersion", .use = FIELD_IGNORED},
		{.name = "generation", .use = FIELD_IGNORED},
		{.name = "generateName", .use = FIELD_IGNORED},
		{.name = "creationTimestamp", .use = FIELD_IGNORED},
		{.name = "deletionTimestamp", .use = FIELD_IGNORED},
		{.name = "deletionGracePeriodSeconds", .use = FIELD_IGNORED},
		{.name = "managedFields", .use = FIELD_IGNORED},
		{.name = "ownerReferences", .use = FIELD_IGNORED},
		{.name = "finalizers", .use = FIELD_IGNORED},
		{.name = "selfLink", .use = FIELD_IGNORED},
		FIELDS_END,
	};

	return parse_meta(c, j, fields, out);
}

int doc_core_meta_parse(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {META_FIELDS, FIELDS_OPEN_END};

	return parse_meta(c, j, fields, out);
}
