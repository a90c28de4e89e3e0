/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policies, of a cluster: what is written, read with no more than the eye needs, so that one that
 * no parser takes is listed, too; and what the daemon that writes status has said of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../sluicectl/policy_list.h"
#include "../sluicectl/text.h"
#include "base/mem.h"
#include "cluster.h"
#include "conditions.h"

struct rows {
	struct json **list;
	size_t n;
	bool any_of_namespace;
};

static char *append(char *take, const char *more)
{
	char *s = mem_printf("%s%s", take, more);

	free(take);
	return s;
}

static char *words_text(const char *before, const struct json *list, const char *after)
{
	char *s = mem_strdup(before);

	for (size_t i = 0; i < json_len(list); i++) {
		const char *word = "?";

		json_string(json_at(list, i), &word, NULL);
		s = append(s, i ? "," : "");
		s = append(s, word);
	}
	return append(s, after);
}

static char *requirement_text(const struct json *r)
{
	const char *key = text_of(r, "key") ?: "?", *op = text_of(r, "operator") ?: "?";
	__cleanup_free char *before = NULL;

	if (strcmp(op, "Exists") == 0)
		return mem_strdup(key);
	if (strcmp(op, "DoesNotExist") == 0)
		return mem_printf("!%s", key);
	before = mem_printf("%s %s (", key, strcmp(op, "In") == 0 ? "in" : "notin");
	return words_text(before, json_get(r, "values"), ")");
}

static char *selector_json_text(const struct json *selector)
{
	const struct json *labels = json_get(selector, "matchLabels");
	const struct json *more = json_get(selector, "matchExpressions");
	size_t n = json_len(labels) + json_len(more);
	char *s = mem_strdup(n ? "" : "all");

	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *one = NULL;

		if (i < json_len(labels))
			one = mem_printf("%s=%s", json_key_at(labels, i),
					 text_of(labels, json_key_at(labels, i)) ?: "?");
		else
			one = requirement_text(json_at(more, i - json_len(labels)));
		s = append(s, i ? "," : "");
		s = append(s, one);
	}
	return s;
}

static char *subject_text(const struct json *subject)
{
	static const char *const parts[][2] = {{"namespaceSelector", " in "},
					       {"nodeSelector", " on "}};
	char *s;

	if (json_get(subject, "services"))
		return words_text("services ", json_get(subject, "services"), "");
	s = selector_json_text(json_get(subject, "podSelector"));
	for (size_t i = 0; i < 2; i++) {
		const struct json *selector = json_get(subject, parts[i][0]);
		__cleanup_free char *text = selector ? selector_json_text(selector) : NULL;

		if (!text)
			continue;
		s = append(s, parts[i][1]);
		s = append(s, text);
	}
	return s;
}

static char *default_text(const struct json *fallback)
{
	const char *action = text_of(fallback, "action") ?: "";
	const struct json *via = json_get(fallback, "via");
	const char *to = json_get(via, "node") ? "node" : text_of(via, "gateway");

	return fallback ? mem_printf("%s%s%s%s", action, *action && to ? " " : "", to ? "via " : "",
				     to ?: "")
			: NULL;
}

static uint8_t step_of(const struct json *spec, bool cluster)
{
	const char *tier = text_of(spec, "tier");

	if (cluster)
		return tier && strcmp(tier, "Baseline") == 0 ? STEP_BASELINE : STEP_ADMIN;
	return json_get(json_get(spec, "subject"), "services") ? STEP_SERVICES : STEP_PODS;
}

static void judge(struct json *row, const struct json *o, const char *type, const char *key)
{
	const struct json *c = condition_of(o, type);
	bool yes = condition_is(c, "True");

	if (c && condition_is_stale(o, c))
		policy_row_judge(row, key, NULL, "Stale", "an edit has not been judged yet");
	else
		policy_row_judge(row, key, c ? &yes : NULL, text_of(c, "reason"),
				 yes ? NULL : text_of(c, "message"));
}

static void row_add(struct rows *rows, const struct json *o, bool cluster)
{
	const struct json *spec = json_get(o, "spec"), *meta = json_get(o, "metadata");
	__cleanup_free char *subject = subject_text(json_get(spec, "subject"));
	__cleanup_free char *fallback = default_text(json_get(spec, "default"));
	const struct policy_place at = {
		.step = step_of(spec, cluster),
		.priority = json_get(spec, "priority") ? int_of(spec, "priority") : 500,
		.namespace = text_of(meta, "namespace"),
		.name = text_of(meta, "name"),
		.cluster = cluster,
	};
	struct json *row = policy_row(&at);

	json_set(row, "mode", json_new_string(text_of(spec, "mode") ?: "Enforce"));
	json_set(row, "subject", json_new_string(subject));
	json_set(row, "rules", json_new_int((int64_t)json_len(json_get(spec, "rules"))));
	json_set(row, "default", json_new_string(fallback));
	judge(row, o, "Accepted", "accepted");
	judge(row, o, "Ready", "ready");
	json_set(row, "created", json_new_string(text_of(meta, "creationTimestamp")));
	MEM_GROW(rows->list, rows->n);
	rows->list[rows->n++] = row;
}

static void on_cluster(void *data, const struct json *o)
{
	row_add(data, o, true);
}

static void on_policy(void *data, const struct json *o)
{
	struct rows *rows = data;

	rows->any_of_namespace = true;
	row_add(rows, o, false);
}

int cluster_policies(struct ctl *ctl)
{
	__cleanup_free char *path = ctl->namespace
					    ? mem_printf(API_OURS "namespaces/%s/egresspolicies",
							 ctl->namespace)
					    : mem_strdup(API_OURS "egresspolicies");
	__cleanup_api struct api *a = NULL;
	struct rows rows = {0};
	struct api_ask asks[] = {
		{.path = API_OURS "clusteregresspolicies", .object = on_cluster, .data = &rows},
		{.path = path, .object = on_policy, .data = &rows},
	};
	struct err e = {0};
	bool lacks;
	int r;

	if (api_open(ctl, &a, &e) < 0)
		return ctl_fail(&e);
	r = api_ask(a, asks, 2, &e);
	if (r == -EACCES && asks[0].code && !asks[1].code) { /* a team's own are worth seeing */
		ctl_warn("without the cluster's own policies, which you may not list");
		r = 0;
	}
	lacks = r == 0 && ctl->namespace && !rows.any_of_namespace &&
		cluster_lacks(a, ctl->namespace);
	if (r == 0 && !lacks) {
		policy_rows_sort(rows.list, rows.n);
		policy_rows_print(ctl, rows.list, rows.n);
	} else {
		for (size_t i = 0; i < rows.n; i++)
			json_free(rows.list[i]);
	}
	free(rows.list);
	if (lacks)
		return CTL_FAILED;
	return r == 0 ? CTL_OK : api_fail(asks, 2, &e);
}
