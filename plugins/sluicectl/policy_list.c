/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/explain.h"
#include "text.h"

#define SUBJECT_WIDTH 26

struct json *policy_row(const struct policy_place *at)
{
	struct json *o = json_new_object();

	json_set(o, "step", json_new_string(policy_step_name(at->step)));
	json_set(o, "order", json_new_int(at->step));
	json_set(o, "kind", json_new_string(at->cluster ? "ClusterEgressPolicy" : "EgressPolicy"));
	json_set(o, "namespace", json_new_string(at->cluster ? NULL : at->namespace));
	json_set(o, "name", json_new_string(at->name));
	json_set(o, "priority", json_new_int(at->priority));
	return o;
}

void policy_row_judge(struct json *row, const char *key, const bool *yes, const char *reason,
		      const char *message)
{
	bool ready = strcmp(key, "ready") == 0;

	json_set(row, key, yes ? json_new_bool(*yes) : json_new_null());
	json_set(row, ready ? "readyReason" : "reason", json_new_string(reason));
	json_set(row, ready ? "readyMessage" : "message", json_new_string(message));
}

static int row_compare(const void *va, const void *vb)
{
	const struct json *a = *(struct json *const *)va, *b = *(struct json *const *)vb;
	int64_t step = int_of(a, "order") - int_of(b, "order");
	int64_t priority = int_of(a, "priority") - int_of(b, "priority");
	int c;

	if (step || priority)
		return (step ? step : priority) < 0 ? -1 : 1;
	c = strcmp(text_of(a, "namespace") ?: "", text_of(b, "namespace") ?: "");
	return c ? c : strcmp(text_of(a, "name") ?: "", text_of(b, "name") ?: "");
}

void policy_rows_sort(struct json **rows, size_t n)
{
	if (n)
		qsort(rows, n, sizeof(*rows), row_compare);
}

/* "yes", "no: MissingGateway", "?" */
static char *judged(const struct json *row, const char *key, const char *reason)
{
	if (json_type(json_get(row, key)) != JSON_BOOL)
		return mem_strdup("?");
	if (bool_of(row, key))
		return mem_strdup("yes");
	return mem_printf("no: %s", text_of(row, reason) ?: "?");
}

static char *title_of(const struct json *row)
{
	const char *namespace = text_of(row, "namespace");

	return mem_printf("%s%s%s", namespace ?: "", namespace ? "/" : "", text_of(row, "name"));
}

static const char *place_text(const struct json *row, char buf[AGO_MAX], char **owned)
{
	const char *file = text_of(row, "file"), *slash = file ? strrchr(file, '/') : NULL;

	if (!file || int_of(row, "line") == 0)
		return since_text(text_of(row, "created"), buf);
	*owned = mem_printf("%s:%" PRId64, slash ? slash + 1 : file, int_of(row, "line"));
	return *owned;
}

static void row_print(struct table *t, const struct json *row, bool wide)
{
	__cleanup_free char *title = title_of(row), *place = NULL, *subject = NULL;
	__cleanup_free char *priority = mem_printf("%" PRId64, int_of(row, "priority"));
	__cleanup_free char *rules = mem_printf("%" PRId64, int_of(row, "rules"));
	__cleanup_free char *accepted = judged(row, "accepted", "reason");
	__cleanup_free char *ready = judged(row, "ready", "readyReason");
	const char *cells[10] = {text_of(row, "step"), priority, title};
	char buf[AGO_MAX];
	size_t n = 3;

	subject = wide ? mem_strdup(text_of(row, "subject"))
		       : text_cut(text_of(row, "subject") ?: "", SUBJECT_WIDTH);
	cells[n++] = subject;
	if (wide) {
		cells[n++] = text_of(row, "mode");
		cells[n++] = rules;
		cells[n++] = text_of(row, "default");
	}
	cells[n++] = accepted;
	if (wide)
		cells[n++] = ready;
	cells[n++] = place_text(row, buf, &place);
	table_row(t, cells);
}

static struct table *head(bool wide, bool files)
{
	const char *const last = files ? "WHERE" : "AGE";
	const char *const narrow[] = {"STEP", "PRIO", "POLICY", "SUBJECT", "ACCEPTED", last};
	const char *const all[] = {"STEP",  "PRIO",    "POLICY",   "SUBJECT", "MODE",
				   "RULES", "DEFAULT", "ACCEPTED", "READY",   last};

	return wide ? table_new(all, 10) : table_new(narrow, 6);
}

/* What is wrong, in words: too long for a table. */
static void problems_print(struct json **rows, size_t n)
{
	static const char *const keys[2][2] = {{"accepted", "message"}, {"ready", "readyMessage"}};
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *title = title_of(rows[i]);
		bool no = false;

		for (size_t k = 0; k < 2 && !no; k++) {
			no = json_type(json_get(rows[i], keys[k][0])) == JSON_BOOL &&
			     !bool_of(rows[i], keys[k][0]);
			if (no && text_of(rows[i], keys[k][1]))
				printf("%s%s: %s\n", first ? "\n" : "", title,
				       text_of(rows[i], keys[k][1]));
			first = first && !no;
		}
	}
}

void policy_rows_print(const struct ctl *ctl, struct json **rows, size_t n)
{
	__cleanup(table_freep) struct table *t = head(ctl->wide, n && text_of(rows[0], "file"));
	struct json *list = json_new_array();

	for (size_t i = 0; i < n && !ctl->json; i++)
		row_print(t, rows[i], ctl->wide);
	if (!ctl->json && n)
		table_print(t);
	if (!ctl->json)
		problems_print(rows, n);
	for (size_t i = 0; i < n; i++) {
		json_del(rows[i], "order");
		json_append(list, rows[i]);
	}
	if (ctl->json)
		ctl_print_json(list);
	else if (!n)
		fputs("no policies\n", stderr);
	json_free(list);
}

static char *append(char *take, const char *more)
{
	char *s = mem_printf("%s%s", take, more);

	free(take);
	return s;
}

static char *requirement_text(const struct selector_req *r)
{
	char *s;

	if (r->op == SEL_EXISTS)
		return mem_strdup(r->key);
	if (r->op == SEL_DOES_NOT_EXIST)
		return mem_printf("!%s", r->key);
	if (r->op == SEL_IN && r->n_values == 1)
		return mem_printf("%s=%s", r->key, r->values[0]);
	s = mem_printf("%s %s (", r->key, r->op == SEL_IN ? "in" : "notin");
	for (size_t i = 0; i < r->n_values; i++) {
		s = append(s, i ? "," : "");
		s = append(s, r->values[i]);
	}
	return append(s, ")");
}

char *selector_text(const struct selector *sel)
{
	char *s = mem_strdup(sel->n ? "" : "all");

	for (size_t i = 0; i < sel->n; i++) {
		__cleanup_free char *r = requirement_text(&sel->reqs[i]);

		s = append(s, i ? "," : "");
		s = append(s, r);
	}
	return s;
}
