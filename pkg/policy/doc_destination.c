/* SPDX-License-Identifier: Apache-2.0 */
/* EgressDestination and ClusterEgressDestination: one struct, one table of fields. */
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "policy/doc_priv.h"

void doc_destination_done(void *destination)
{
	struct doc_destination *d = destination;

	free(d->cidrs);
	for (size_t i = 0; i < d->n_fqdns; i++)
		free(d->fqdns[i]);
	free(d->fqdns);
	free(d->ports);
	doc_meta_done(&d->meta);
}

/* ---- cidrs: up to a million, most often written in order by a program ---- */

static int parse_cidr(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_destination *d = out;

	return doc_cidr(c, j, &d->cidrs[d->n_cidrs++]);
}

static int cmp_cidrs(const void *a, const void *b)
{
	return cidr_cmp(*(const struct cidr *)a, *(const struct cidr *)b);
}

static int parse_cidrs(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_destination *d = out;
	bool sorted = true;
	size_t n;
	int r;

	if (json_type(j) == JSON_ARRAY && json_len(j) <= DOC_MAX_CIDRS)
		d->cidrs = mem_resize(NULL, json_len(j) + 1, sizeof(*d->cidrs));
	r = doc_list(c, j, DOC_MAX_CIDRS, parse_cidr, d);
	if (r < 0)
		return r;
	for (size_t i = 1; sorted && i < d->n_cidrs; i++)
		sorted = cidr_cmp(d->cidrs[i - 1], d->cidrs[i]) <= 0;
	if (!sorted)
		qsort(d->cidrs, d->n_cidrs, sizeof(*d->cidrs), cmp_cidrs);
	d->n_cidrs = n = cidrs_outermost(d->cidrs, d->n_cidrs);
	d->cidrs = mem_resize(d->cidrs, n, sizeof(*d->cidrs));
	d->digest = digest_of(d->cidrs, n * sizeof(*d->cidrs), n);
	return 0;
}

/* ---- fqdns ---- */

static int parse_fqdn(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_destination *d = out;

	MEM_GROW(d->fqdns, d->n_fqdns);
	d->fqdns[d->n_fqdns] = NULL;
	return doc_fqdn(c, j, &d->fqdns[d->n_fqdns++]);
}

static int cmp_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int parse_fqdns(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_destination *d = out;
	size_t n = 1;
	int r = doc_list(c, j, DOC_MAX_FQDNS, parse_fqdn, d);

	if (r < 0)
		return r;
	qsort(d->fqdns, d->n_fqdns, sizeof(*d->fqdns), cmp_strings);
	for (size_t i = 1; i < d->n_fqdns; i++) {
		if (strcmp(d->fqdns[n - 1], d->fqdns[i]) == 0)
			free(d->fqdns[i]);
		else
			d->fqdns[n++] = d->fqdns[i];
	}
	d->n_fqdns = n;
	return 0;
}

/* ---- the kinds ---- */

static int parse_ports(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_destination *d = out;

	return doc_ports_parse(c, j, &d->ports, &d->n_ports);
}

static int check_spec(const struct doc_ctx *c, const struct json *j, void *out)
{
	const struct doc_destination *d = out;

	if (d->n_cidrs + d->n_fqdns == 0)
		return doc_fail(c, j, "expected cidrs, fqdns, or both, found none");
	return 0;
}

static const struct field spec_fields[] = {
	{.name = "cidrs", .parse = parse_cidrs},
	{.name = "fqdns", .parse = parse_fqdns},
	{.name = "ports", .parse = parse_ports},
	{.name = "feed", .use = FIELD_LATER},
	FIELDS_END,
};

const struct field doc_destination_fields[] = {OBJECT_FIELDS(spec_fields, check_spec)};
