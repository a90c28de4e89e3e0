/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When conntrack is looked at for limits: before the kernel begins to count; until what is then
 * given out is known to be true, in passes one upon the other; and as long as somebody has a
 * room, for what closes. Else never.
 */
#include "reconcile/limits.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/moves.h"
#include "reconcile/priv.h"

#define LOOK_MS	   400 /* less than between two passes of a daemon that has nothing to do */
#define LOOK_SHARE 20  /* of a large table: 5 % of the time */
#define IN_A_ROW   4   /* then a pod that begins more all the time waits for the next pass */

struct limits_look {
	struct limits l;
	unsigned int built; /* nft_built, when it was looked at */
	bool lost;	    /* the kernel begins anew with this pass, and that is known */
	int64_t next_at;
	unsigned int in_a_row;
	bool trouble; /* said already */
};

static struct limits_look *look_new(struct reconcile *r)
{
	struct limits_look *k = mem_alloc0(sizeof(*k));
	struct nft_limits have = {0};
	struct err e = {0};

	k->built = nft_built(r->k.nft);
	if (nft_limits_load(r->k.nft, r->desired->model->nft_model.mark_mask, &have, &e) < 0)
		log_warn("limits in force not known", "error=%s", log_quote(e.msg));
	limits_found(&k->l, &have);
	nft_limits_done(&have);
	return k;
}

/* Those that have limits, sorted. */
static size_t addresses_of(const struct limits *l, struct addr **ret)
{
	struct addr *list = mem_alloc0((l->n_accounts + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < l->n_accounts; i++)
		if (!i || l->accounts[i].id != l->accounts[i - 1].id)
			list[n++] = l->accounts[i].addr;
	qsort(list, n, sizeof(*list), addr_order);
	*ret = list;
	return n;
}

static void look(struct limits_look *k)
{
	__cleanup_free struct ct_holding *list = NULL;
	__cleanup_free struct addr *seen = NULL;
	int64_t began = clock_ms(), took;
	struct err e = {0};
	size_t n, held = 0;
	int rc;

	n = addresses_of(&k->l, &seen);
	rc = n ? conntrack_list_holdings(seen, n, &list, &held, &e) : 0;
	if (rc < 0 && !k->trouble)
		log_warn("connections not counted for limits", "error=%s", log_quote(e.msg));
	k->trouble = rc < 0;
	if (rc == 0)
		limits_step(&k->l, list, held);
	took = (clock_ms() - began) * LOOK_SHARE;
	k->next_at = began + (took > LOOK_MS ? took : LOOK_MS);
}

static bool look_due(const struct limits_look *k)
{
	bool late = clock_ms() >= k->next_at;

	if (!limits_settled(&k->l))
		return late || k->in_a_row <= IN_A_ROW || limits_begin(&k->l);
	return late && k->l.n_holders;
}

static void model_fill(const struct limits_look *k, struct dp_model *m)
{
	free(m->nft_rooms);
	m->nft_model.n_rooms = limits_rooms(&k->l, &m->nft_rooms);
	m->nft_model.rooms = m->nft_rooms;
	limits_befores(&k->l, m->nft_limits, m->nft_model.n_limits);
}

void limits_before(struct reconcile *r)
{
	struct dp_model *m = r->desired->model;
	struct limits_look *k = r->limits;

	if (!k)
		k = r->limits = look_new(r);
	limits_want(&k->l, &m->nft_model);
	k->lost = false;
	if (!k->l.n_accounts)
		return;
	if (look_due(k))
		look(k);
	model_fill(k, m);
}

/* Without our table nothing leaves, so that no connection begins while we look. */
void limits_seen(struct reconcile *r, const struct dp_model *observed)
{
	struct limits_look *k = r->limits;

	if (observed->nft_differs < 2 || !k->l.n_accounts)
		return;
	limits_lost(&k->l);
	k->lost = true;
	look(k);
	model_fill(k, r->desired->model);
}

bool limits_after(struct reconcile *r)
{
	struct limits_look *k = r->limits;

	if (nft_built(r->k.nft) != k->built && !k->lost)
		limits_restarted(&k->l);
	k->built = nft_built(r->k.nft);
	if (r->carried.all)
		limits_carried(&k->l);
	if (limits_settled(&k->l) || clock_ms() >= k->next_at)
		k->in_a_row = 0;
	return !limits_settled(&k->l) && k->in_a_row++ < IN_A_ROW;
}

/* Told in order of their addresses, mostly. */
void limits_made(struct reconcile *r, const struct move_flow *flows, size_t n)
{
	for (size_t i = 0; r->limits && i < n; i++)
		if (!i || !addr_eq(flows[i].seen, flows[i - 1].seen))
			limits_came(&r->limits->l, flows[i].seen);
}

void limits_free(struct limits_look *k)
{
	if (!k)
		return;
	limits_done(&k->l);
	free(k);
}
