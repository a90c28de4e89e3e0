/* SPDX-License-Identifier: Apache-2.0 */
/* What only shows over the whole set. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

/* ---- an address belongs to one range of one gateway ---- */

struct claim {
	const struct doc_gateway *gateway;
	size_t index;
};

static const struct gateway_range *claim_range(const struct claim *c)
{
	return c->gateway->ranges + c->index;
}

static int cmp_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = addr_cmp(claim_range(x)->range.first, claim_range(y)->range.first);

	if (c == 0)
		c = strcmp(x->gateway->meta.name, y->gateway->meta.name);
	return c ? c : (x->index > y->index) - (x->index < y->index);
}

#define RANGE_STRLEN (2 * ADDR_STRLEN + 1)

static const char *range_text(const struct addr_range *r, char buf[RANGE_STRLEN])
{
	bool single = addr_eq(r->first, r->last);

	snprintf(buf, RANGE_STRLEN, "%s%s%s", addr_str(r->first), single ? "" : "-",
		 single ? "" : addr_str(r->last));
	return buf;
}

static int fail_overlap(const struct claim *a, const struct claim *b, struct err *e)
{
	const struct gateway_range *x = claim_range(a), *y = claim_range(b);
	char tx[RANGE_STRLEN], ty[RANGE_STRLEN];

	return err_set(
		e, -EINVAL,
		"%s:%d: spec.addresses[%zu].range: expected addresses of one gateway only, %s "
		"overlaps %s of EgressGateway %s in %s:%d",
		doc_src_file(&y->src), doc_src_line(&y->src), b->index, range_text(&y->range, ty),
		range_text(&x->range, tx), a->gateway->meta.name, doc_src_file(&x->src),
		doc_src_line(&x->src));
}

int doc_check_overlaps(const struct doc_set *set, struct err *e)
{
	__cleanup_free struct claim *claims = NULL;
	size_t n = 0;

	for (size_t g = 0; g < set->n_gateways; g++)
		for (size_t i = 0; i < set->gateways[g].n_ranges; i++) {
			MEM_GROW(claims, n);
			claims[n++] = (struct claim){set->gateways + g, i};
		}
	if (n)
		qsort(claims, n, sizeof(*claims), cmp_claims);
	/* as long as nothing overlaps, the last one reaches furthest: neighbours are enough */
	for (size_t i = 1; i < n; i++)
		if (addr_range_overlaps(claim_range(claims + i - 1)->range,
					claim_range(claims + i)->range))
			return fail_overlap(claims + i - 1, claims + i, e);
	return 0;
}

/* ---- a via names addresses its gateway has ---- */

static int cmp_gateway(const void *name, const void *gateway)
{
	return strcmp(name, ((const struct doc_gateway *)gateway)->meta.name);
}

static bool has_address(const struct doc_gateway *g, struct addr a)
{
	for (size_t i = 0; i < g->n_ranges; i++)
		if (addr_range_contains(g->ranges[i].range, a))
			return true;
	return false;
}

/* A gateway that is missing is no error: it may come later, and until then traffic is dropped. */
static const struct addr *foreign_addr(const struct doc_set *set, const struct doc_via *via,
				       const struct doc_gateway **ret)
{
	const struct doc_gateway *g;

	if (via->kind != VIA_GATEWAY || via->n_addrs == 0 || set->n_gateways == 0)
		return NULL;
	*ret = g = bsearch(via->gateway, set->gateways, set->n_gateways, sizeof(*g), cmp_gateway);
	for (size_t i = 0; g && i < via->n_addrs; i++)
		if (!has_address(g, via->addrs[i]))
			return &via->addrs[i];
	return NULL;
}

/* rule SIZE_MAX: the default block's. The path is for a message only, and rules may be many. */
static int check_via(const struct doc_set *set, const struct doc_via *via, size_t rule,
		     struct err *e)
{
	const struct doc_gateway *g;
	const struct addr *a = foreign_addr(set, via, &g);
	char path[48] = "spec.default.via";

	if (!a)
		return 0;
	if (rule != SIZE_MAX)
		snprintf(path, sizeof(path), "spec.rules[%zu].via", rule);
	return err_set(e, -EINVAL,
		       "%s:%d: %s.addresses: expected addresses of EgressGateway %s in "
		       "%s:%d, found %s",
		       doc_src_file(&via->src), doc_src_line(&via->src), path, via->gateway,
		       doc_src_file(&g->meta.src), doc_src_line(&g->meta.src), addr_str(*a));
}

int doc_check_policy_vias(const struct doc_set *set, const struct doc_policy *policy, struct err *e)
{
	int r = check_via(set, &policy->default_via, SIZE_MAX, e);

	for (size_t i = 0; r == 0 && i < policy->n_rules; i++)
		r = check_via(set, &policy->rules[i].via, i, e);
	return r;
}

int doc_check_vias(const struct doc_set *set, struct err *e)
{
	for (size_t p = 0; p < set->n_policies; p++) {
		int r = doc_check_policy_vias(set, set->policies[p], e);

		if (r < 0)
			return r;
	}
	return 0;
}
