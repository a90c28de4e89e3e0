/* SPDX-License-Identifier: Apache-2.0 */
/* What lies inside, and the addresses inside that lead outside. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reconcile/desired.h"

static bool covered(const struct cidr *list, size_t n, struct cidr c)
{
	for (size_t i = 0; i < n; i++)
		if (cidr_contains(list[i], c))
			return true;
	return false;
}

/* Without what lies in another one; the lists of the compiler are sorted, parents first. */
struct cidr *desired_cidrs_merge(const struct cidr *in, size_t n, size_t *ret_n)
{
	struct cidr *out = mem_alloc0(n * sizeof(*out));
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		/* sorted: only the last one kept can hold it, or one kept of the other family */
		if (kept && cidr_contains(out[kept - 1], in[i]))
			continue;
		out[kept++] = in[i];
	}
	*ret_n = kept;
	return out;
}

static void inside_add(struct dp_model *m, struct cidr c, uint32_t flags)
{
	struct slu_lpm_key key = slu_lpm_key_make(c);

	for (size_t i = 0; i < m->n_inside; i++)
		if (memcmp(&m->inside[i].key, &key, sizeof(key)) == 0) {
			m->inside[i].flags |= flags;
			return;
		}
	MEM_GROW(m->inside, m->n_inside);
	m->inside[m->n_inside++] = (struct dp_inside){key, flags};
}

/* The longest prefix answers alone, so each entry says what its parents say, too. */
static uint32_t inside_flags(const struct compiled *c, struct cidr prefix)
{
	const struct cidr *list;
	uint32_t flags = 0;
	size_t n;

	list = compiled_inside(c, &n);
	if (covered(list, n, prefix))
		flags |= SLU_INSIDE_ALL;
	list = compiled_cluster_cidrs(c, &n);
	if (covered(list, n, prefix))
		flags |= SLU_INSIDE_ALL | SLU_INSIDE_POD;
	return flags;
}

static void inside_build(struct dp_model *m, const struct compiled *c)
{
	const struct doc_config *conf = compiled_config(c);
	const struct cidr *list;
	size_t n;

	list = compiled_inside(c, &n);
	for (size_t i = 0; i < n; i++)
		inside_add(m, list[i], inside_flags(c, list[i]));
	list = compiled_cluster_cidrs(c, &n);
	for (size_t i = 0; i < n; i++)
		inside_add(m, list[i], inside_flags(c, list[i]));
	list = compiled_shared(c, &n);
	for (size_t i = 0; i < n; i++)
		inside_add(m, list[i], inside_flags(c, list[i]) | SLU_INSIDE_SHARED);
	list = compiled_external(c, &n);
	for (size_t i = 0; i < n; i++)
		inside_add(m, list[i], inside_flags(c, list[i]) | SLU_INSIDE_NODE);
	for (size_t i = 0; conf && i < conf->n_resolvers; i++) {
		struct cidr host = cidr_host(conf->resolvers[i]);

		inside_add(m, host, inside_flags(c, host) | SLU_INSIDE_DNS);
	}
}

/* ---- Services that lead outside ---- */

static struct slu_endpoint endpoint_of(const struct compiled_endpoint *e)
{
	return (struct slu_endpoint){slu_addr_make(e->addr), e->l4_key};
}

static void services_build(struct dp_model *m, const struct compiled *c)
{
	const struct compiled_service *list;
	size_t n;

	list = compiled_services(c, &n);
	for (size_t i = 0; i < n; i++) {
		struct cidr host = cidr_host(list[i].at.addr);
		struct dp_service s = {.at = endpoint_of(&list[i].at)};

		inside_add(m, host, inside_flags(c, host) | SLU_INSIDE_SERVICE);
		for (size_t k = 0; list[i].n <= SLU_MAX_ENDPOINTS && k < list[i].n; k++)
			s.to.at[s.to.n++] = endpoint_of(&list[i].endpoints[k]);
		MEM_GROW(m->services, m->n_services);
		m->services[m->n_services++] = s;
	}
	m->nft_services = dp_translations(m->services, m->n_services, &m->nft_model.n_services);
}

void desired_inside(const struct compiled *c, struct dp_model *m)
{
	const struct cidr *list;
	size_t n;

	list = compiled_inside(c, &n);
	m->nft_inside = desired_cidrs_merge(list, n, &m->nft_model.n_inside);
	inside_build(m, c);
	services_build(m, c);
}
