/* SPDX-License-Identifier: Apache-2.0 */
/* One item of a rule's `to`. */
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"
#include "policy/fqdn.h"

/* An item has one member; whoever gives it two is refused when all are read. */
static void begin(struct doc_to *to, enum to_kind kind)
{
	switch (to->kind) {
	case TO_CIDR:
		break;
	case TO_FQDN:
		free(to->fqdn);
		break;
	case TO_DESTINATION:
		free(to->destination);
		break;
	case TO_NODES:
		selector_done(&to->nodes);
		break;
	case TO_DESTINATION_SELECTOR:
		selector_done(&to->destinations);
		break;
	}
	to->destinations = (struct selector){0}; /* the largest of the union */
	to->kind = kind;
}

void doc_to_done(struct doc_to *to)
{
	begin(to, TO_CIDR);
	free(to->except);
}

static int parse_cidr(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_to *to = out;

	begin(to, TO_CIDR);
	return doc_cidr(c, j, &to->cidr);
}

static int parse_exception(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_to *to = out;

	MEM_GROW(to->except, to->n_except);
	return doc_cidr(c, j, &to->except[to->n_except++]);
}

static int parse_except(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_TO, parse_exception, out);
}

static int parse_nodes(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_to *to = out;

	begin(to, TO_NODES);
	return doc_selector(c, j, &to->nodes);
}

static int cmp_cidrs(const void *a, const void *b)
{
	return cidr_cmp(*(const struct cidr *)a, *(const struct cidr *)b);
}

/* Fields come in any order, so `except` can be judged only when all are read. */
static int check_except(const struct doc_ctx *c, const struct json *j, struct doc_to *to)
{
	const struct json *except = json_get(j, "except");

	if (except && to->kind != TO_CIDR)
		return doc_fail(c, except, "expected only together with cidr");
	for (size_t i = 0; i < to->n_except; i++)
		if (!cidr_contains(to->cidr, to->except[i]) ||
		    cidr_cmp(to->cidr, to->except[i]) == 0)
			return doc_fail(c, json_at(except, i),
					"expected a smaller prefix inside %s, found %s",
					cidr_str(to->cidr), cidr_str(to->except[i]));
	if (to->n_except)
		qsort(to->except, to->n_except, sizeof(*to->except), cmp_cidrs);
	return 0;
}

/* A pattern of names, in canonical form. */
int doc_fqdn(const struct doc_ctx *c, const struct json *j, char **ret)
{
	char name[FQDN_MAX + 1];
	const char *s = "", *reason = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	if (r < 0)
		return r;
	if (fqdn_check(s, name, &reason) < 0)
		return doc_fail(c, j, "expected a DNS name or '*.' before one, found %s: %s",
				json_show(j), reason);
	*ret = mem_strdup(name);
	return 0;
}

static int parse_fqdn(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_to *to = out;

	begin(to, TO_FQDN);
	return doc_fqdn(c, j, &to->fqdn);
}

/* ---- destination objects ---- */

static int parse_destination_kind(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice both[] = {
		{"EgressDestination", false}, {"ClusterEgressDestination", true}, {NULL, 0}};
	struct doc_to *to = out;
	/* of which namespace would the other be? */
	const struct choice *choices = c->kind == DOC_CLUSTER_EGRESS_POLICY ? both + 1 : both;
	int v = 0, r = doc_choice(c, j, choices, &v);

	to->cluster_scope = v;
	return r;
}

static int parse_destination_name(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_subdomain(c, j, &((struct doc_to *)out)->destination);
}

static int parse_destination(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		{.name = "kind", .parse = parse_destination_kind},
		{.name = "name", .parse = parse_destination_name, .use = FIELD_REQUIRED},
		FIELDS_END,
	};
	struct doc_to *to = out;

	begin(to, TO_DESTINATION);
	return doc_fields(c, j, fields, to);
}

static int parse_destination_selector(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_to *to = out;

	begin(to, TO_DESTINATION_SELECTOR);
	return doc_selector(c, j, &to->destinations);
}

int doc_to_parse(const struct doc_ctx *c, const struct json *j, struct doc_to *to)
{
	static const char *const kinds[] = {
		"cidr", "nodes", "fqdn", "destination", "destinationSelector", NULL};
	static const struct field fields[] = {
		{.name = "cidr", .parse = parse_cidr},
		{.name = "except", .parse = parse_except},
		{.name = "nodes", .parse = parse_nodes},
		{.name = "fqdn", .parse = parse_fqdn},
		{.name = "destination", .parse = parse_destination},
		{.name = "destinationSelector", .parse = parse_destination_selector},
		FIELDS_END,
	};
	int r;

	to->cluster_scope = c->kind == DOC_CLUSTER_EGRESS_POLICY;
	r = doc_fields(c, j, fields, to);
	if (r == 0)
		r = doc_union(c, j, kinds);
	return r < 0 ? r : check_except(c, j, to);
}
