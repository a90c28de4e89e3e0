/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/pod_subject.h"

#include <string.h>

#include "json/json.h"

/* The labels that came with the ADD over those in *labels. */
static void given_set(struct labels *labels, const char *text)
{
	__cleanup_json struct json *tree = NULL;

	if (!text || json_parse(text, strlen(text), &tree, NULL) < 0)
		return;
	for (size_t i = 0; i < json_len(tree); i++) {
		const char *value;

		if (json_string(json_value_at(tree, i), &value, NULL) == 0)
			labels_set(labels, json_key_at(tree, i), value);
	}
}

/* An implied label is never somebody else's to give: without a value it is not there at all. */
static void implied_set(struct labels *labels, const char *key, const char *value)
{
	struct labels rest = {0};

	if (value && *value) {
		labels_set(labels, key, value);
		return;
	}
	if (!labels_get(labels, key))
		return;
	for (size_t i = 0; i < labels->n; i++)
		if (strcmp(labels->items[i].key, key))
			labels_set(&rest, labels->items[i].key, labels->items[i].value);
	labels_done(labels);
	*labels = rest;
}

static void subject_make(const struct image *img, const struct record *rec, bool objects,
			 struct pod_info *ret)
{
	const char *namespace = rec->namespace && *rec->namespace ? rec->namespace : "default";
	const char *name = rec->pod ? rec->pod : "";
	struct labels labels = {0};
	bool object;

	object = objects && *name && image_pod_labels(img, namespace, name, &labels) == 0;
	if (!img->from_api || !object)
		given_set(&labels, rec->labels);
	implied_set(&labels, LABEL_POD, name);
	implied_set(&labels, LABEL_NETWORK, rec->network);
	implied_set(&labels, LABEL_IFNAME, rec->ifname);
	*ret = (struct pod_info){
		.namespace = namespace,
		.name = name,
		.labels = labels,
		.labels_known = !img->from_api || object,
	};
}

void pod_subject(const struct image *img, const struct record *rec, struct pod_info *ret)
{
	subject_make(img, rec, true, ret);
}

void pod_subject_given(const struct image *img, const struct record *rec, struct pod_info *ret)
{
	subject_make(img, rec, false, ret);
}

void pod_subject_done(struct pod_info *p)
{
	labels_done(&p->labels);
}
