/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/shares.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "reconcile/usage.h"

const char *const share_kinds[NFT_LIMIT_KINDS] = {
	[NFT_CONNECTIONS] = "connectionsPerPod", [NFT_PORTS] = "portsPerPod"};

void shares_done(struct shares *s)
{
	free(s->list);
	*s = (struct shares){0};
}

size_t shares_near(const struct shares *s, enum nft_limit_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->list[i].near >> kind & 1;
	return n;
}

bool shares_untold(const struct shares *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].tell)
			return true;
	return s->more;
}

int share_limit_order(const void *a, const void *b)
{
	const struct share_limit *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int share_cmp(const void *a, const void *b)
{
	const struct share *x = a, *y = b;
	int c = addr_cmp(x->pod, y->pod);

	return c ? c : share_limit_order(&x->of, &y->of);
}

/* ---- counting ---- */

/* Conntrack's zone is the address's id, and another one while the address is elsewhere (abi.h). */
static uint32_t id_of(const struct ct_holding *h)
{
	return h->zone < SLU_ID_MAX ? h->zone : h->zone - SLU_ID_MAX;
}

static int holding_cmp(const void *a, const void *b)
{
	const struct ct_holding *x = a, *y = b;
	uint32_t id_x = id_of(x), id_y = id_of(y);
	int c = addr_cmp(x->pod, y->pod);

	if (!c)
		c = (id_x > id_y) - (id_x < id_y);
	if (!c)
		c = (x->zone > y->zone) - (x->zone < y->zone);
	if (!c)
		c = (x->proto > y->proto) - (x->proto < y->proto);
	if (!c)
		c = (x->port > y->port) - (x->port < y->port);
	return c ? c : (x->id > y->id) - (x->id < y->id);
}

static bool same_share(const struct ct_holding *a, const struct ct_holding *b)
{
	return id_of(a) == id_of(b) && addr_eq(a->pod, b->pod);
}

/* A sorted run of one share. What an address that moved has left in the zone of before is old: the
 * zone that has more counts. */
static struct share share_of(const struct share_limit *of, const struct ct_holding *h, size_t n)
{
	struct share s = {.pod = h->pod, .of = *of};
	uint32_t used[NFT_LIMIT_KINDS] = {0};

	for (size_t i = 0; i < n; i++) {
		bool zone = !i || h[i].zone != h[i - 1].zone;
		bool port = zone || h[i].proto != h[i - 1].proto || h[i].port != h[i - 1].port;

		if (zone)
			used[NFT_CONNECTIONS] = used[NFT_PORTS] = 0;
		used[NFT_PORTS] += port;
		used[NFT_CONNECTIONS] += port || h[i].id != h[i - 1].id; /* told twice: one */
		for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++)
			if (used[kind] > s.used[kind])
				s.used[kind] = used[kind];
	}
	for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++)
		if (of->most[kind] && s.used[kind] > of->most[kind])
			s.used[kind] = of->most[kind];
	return s;
}

/* old: the same at the look before, or NULL. How many came near. */
static size_t share_warn(struct share *s, const struct share *old, size_t said)
{
	size_t n = 0;

	if (old) {
		s->near = old->near;
		s->log = old->log;
		s->tell = old->tell;
	}
	for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++) {
		unsigned int bit = 1u << kind;
		bool near = s->near & bit;

		if (usage_warns(&near, s->used[kind], s->of.most[kind]) &&
		    said + n++ < SHARES_TOLD) {
			s->log |= bit;
			s->tell |= bit;
		}
		if (near) {
			s->near |= bit;
			continue;
		}
		s->near &= ~bit;
		s->tell &= ~bit;
	}
	return n;
}

void shares_count(struct shares *s, const struct share_limit *limits, size_t n_limits,
		  const struct ct_holding *list, size_t n)
{
	__cleanup_free struct ct_holding *sorted = mem_alloc0((n + 1) * sizeof(*sorted));
	struct share *shares = NULL;
	size_t kept = 0, run, came = 0;

	for (size_t i = 0; i < n; i++)
		sorted[i] = list[i];
	qsort(sorted, n, sizeof(*sorted), holding_cmp);
	for (size_t i = 0; i < n; i += run) {
		const struct share_limit key = {.id = id_of(&sorted[i])};
		const struct share_limit *of = n_limits ? bsearch(&key, limits, n_limits,
								  sizeof(key), share_limit_order)
							: NULL;
		struct share *now, *old;

		for (run = 1; i + run < n && same_share(&sorted[i], &sorted[i + run]); run++)
			;
		if (!of)
			continue;
		MEM_GROW(shares, kept);
		now = &shares[kept++];
		*now = share_of(of, &sorted[i], run);
		old = s->n ? bsearch(now, s->list, s->n, sizeof(*now), share_cmp) : NULL;
		came += share_warn(now, old, came);
		if (came > SHARES_TOLD)
			s->more_of = of->addr;
	}
	free(s->list);
	s->list = shares;
	s->n = kept;
	s->more += came > SHARES_TOLD ? came - SHARES_TOLD : 0;
}
