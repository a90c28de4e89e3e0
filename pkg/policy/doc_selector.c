/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label selectors from trees. Requirements are sorted: equal selectors are equal
 * arrays, however they were written.
 */
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

static void req_done(struct selector_req *req)
{
	for (size_t i = 0; i < req->n_values; i++)
		free(req->values[i]);
	free(req->values);
	free(req->key);
}

void selector_done(struct selector *s)
{
	for (size_t i = 0; i < s->n; i++)
		req_done(s->reqs + i);
	free(s->reqs);
	*s = (struct selector){0};
}

static int cmp_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int cmp_reqs(const void *a, const void *b)
{
	const struct selector_req *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	if (c == 0)
		c = (x->op > y->op) - (x->op < y->op);
	for (size_t i = 0; c == 0 && i < x->n_values && i < y->n_values; i++)
		c = strcmp(x->values[i], y->values[i]);
	return c ? c : (x->n_values > y->n_values) - (x->n_values < y->n_values);
}

static int parse_value(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct selector_req *req = out;
	const char *s = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	if (r < 0)
		return r;
	if (label_value_check(s) < 0)
		return doc_fail(c, j, "expected a label value, found %s", json_show(j));
	MEM_GROW(req->values, req->n_values);
	req->values[req->n_values++] = mem_strdup(s);
	return 0;
}

int doc_match_labels(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct selector *s = out;

	if (json_type(j) != JSON_OBJECT)
		return doc_fail(c, j, "expected object, found %s", json_show(j));
	for (size_t i = 0; i < json_len(j); i++) {
		struct selector_req *req;
		int r;

		if (s->n == DOC_MAX_SELECTOR)
			return doc_fail(c, j, "expected at most %d labels", DOC_MAX_SELECTOR);
		if (label_key_check(json_key_at(j, i)) < 0)
			return doc_fail(c, json_value_at(j, i), "expected a label key");
		MEM_GROW(s->reqs, s->n);
		req = s->reqs + s->n++;
		*req = (struct selector_req){.key = mem_strdup(json_key_at(j, i))};
		r = parse_value(c, json_value_at(j, i), req);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_key(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct selector_req *req = out;
	const char *s = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	if (r < 0)
		return r;
	if (label_key_check(s) < 0)
		return doc_fail(c, j, "expected a label key, found %s", json_show(j));
	req->key = mem_strdup(s);
	return 0;
}

static int parse_operator(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice ops[] = {
		{"In", SEL_IN},
		{"NotIn", SEL_NOT_IN},
		{"Exists", SEL_EXISTS},
		{"DoesNotExist", SEL_DOES_NOT_EXIST},
		{NULL, 0},
	};
	struct selector_req *req = out;
	int op = 0, r = doc_choice(c, j, ops, &op);

	req->op = (enum selector_op)op;
	return r;
}

static int parse_values(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_SELECTOR, parse_value, out);
}

static void sort_values(struct selector_req *req)
{
	size_t n = 0;

	if (req->n_values)
		qsort(req->values, req->n_values, sizeof(*req->values), cmp_strings);
	for (size_t i = 0; i < req->n_values; i++) {
		if (n && strcmp(req->values[n - 1], req->values[i]) == 0)
			free(req->values[i]);
		else
			req->values[n++] = req->values[i];
	}
	req->n_values = n;
}

static int parse_expression(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		{.name = "key", .parse = parse_key, .use = FIELD_REQUIRED},
		{.name = "operator", .parse = parse_operator, .use = FIELD_REQUIRED},
		{.name = "values", .parse = parse_values},
		FIELDS_END,
	};
	struct selector *s = out;
	struct selector_req *req;
	bool wants;
	int r;

	if (s->n == DOC_MAX_SELECTOR)
		return doc_fail(c, j, "expected at most %d requirements", DOC_MAX_SELECTOR);
	MEM_GROW(s->reqs, s->n);
	req = s->reqs + s->n++;
	*req = (struct selector_req){0};
	r = doc_fields(c, j, fields, req);
	if (r < 0)
		return r;
	wants = req->op == SEL_IN || req->op == SEL_NOT_IN;
	if (wants != (req->n_values > 0))
		return doc_fail(c, j, "expected %s",
				wants ? "values with operator In or NotIn, found none"
				      : "no values with operator Exists or "
					"DoesNotExist");
	sort_values(req);
	return 0;
}

static int parse_expressions(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_SELECTOR, parse_expression, out);
}

int doc_selector(const struct doc_ctx *c, const struct json *j, struct selector *out)
{
	static const struct field fields[] = {
		{.name = "matchLabels", .parse = doc_match_labels},
		{.name = "matchExpressions", .parse = parse_expressions},
		FIELDS_END,
	};
	int r = doc_fields(c, j, fields, out);

	if (r < 0)
		return r;
	out->present = true;
	if (out->n)
		qsort(out->reqs, out->n, sizeof(*out->reqs), cmp_reqs);
	return 0;
}
