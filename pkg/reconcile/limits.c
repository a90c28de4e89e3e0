/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/limits_priv.h"

#include <stdlib.h>

#include "base/mem.h"

void limits_done(struct limits *l)
{
	free(l->accounts);
	free(l->holders);
	free(l->known);
	*l = (struct limits){0};
}

/* ---- lists ---- */

static int place_cmp(uint32_t id_a, enum nft_limit_kind kind_a, uint32_t id_b,
		     enum nft_limit_kind kind_b)
{
	if (id_a != id_b)
		return id_a < id_b ? -1 : 1;
	return (kind_a > kind_b) - (kind_a < kind_b);
}

static int account_cmp(const void *a, const void *b)
{
	const struct limit_account *x = a, *y = b;

	return place_cmp(x->id, x->kind, y->id, y->kind);
}

int limit_holder_cmp(const void *a, const void *b)
{
	const struct limit_holder *x = a, *y = b;
	int c = place_cmp(x->id, x->kind, y->id, y->kind);

	return c ? c : addr_cmp(x->pod, y->pod);
}

struct limit_account *limit_account_find(const struct limits *l, uint32_t id,
					 enum nft_limit_kind kind)
{
	const struct limit_account key = {.id = id, .kind = kind};

	return l->n_accounts ? bsearch(&key, l->accounts, l->n_accounts, sizeof(key), account_cmp)
			     : NULL;
}

static void rooms_stale(struct limits *l, const struct limit_account *a)
{
	for (size_t i = 0; i < l->n_holders; i++)
		if (!place_cmp(l->holders[i].id, l->holders[i].kind, a->id, a->kind))
			for (int slot = 0; slot < NFT_ROOM_SLOTS; slot++)
				l->holders[i].rooms[slot].stale = true;
}

static void holders_drop(struct limits *l, const struct limit_account *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n_holders; i++)
		if (place_cmp(l->holders[i].id, l->holders[i].kind, a->id, a->kind))
			l->holders[kept++] = l->holders[i];
	l->n_holders = kept;
}

/* ---- what is in force, at first ---- */

static struct limit_holder *holder_of(struct limits *l, const struct nft_room *room)
{
	for (size_t i = 0; i < l->n_holders; i++) {
		struct limit_holder *h = &l->holders[i];

		if (!place_cmp(h->id, h->kind, room->id, room->kind) && addr_eq(h->pod, room->pod))
			return h;
	}
	MEM_GROW(l->holders, l->n_holders);
	l->holders[l->n_holders] = (struct limit_holder){
		.id = room->id, .kind = room->kind, .pod = room->pod, .sure = -1};
	return &l->holders[l->n_holders++];
}

/* Which of two was known to be true is not; both hold until there are others. */
static void rooms_found(struct limits *l, const struct nft_limits *have)
{
	for (size_t i = 0; i < have->n_rooms; i++) {
		const struct nft_room *room = &have->rooms[i];
		struct limit_account *a = limit_account_find(l, room->id, room->kind);
		struct limit_holder *h;

		if (!a)
			continue;
		a->state = LIMIT_BEGAN;
		h = holder_of(l, room);
		h->rooms[room->slot] = (struct limit_room){.more = room->more,
							   .serial = room->serial,
							   .in_force = true,
							   .stale = true};
		h->sure = h->rooms[0].serial ? 0 : 1;
		if (room->serial > l->serial)
			l->serial = room->serial;
	}
	if (l->n_holders)
		qsort(l->holders, l->n_holders, sizeof(*l->holders), limit_holder_cmp);
}

void limits_found(struct limits *l, const struct nft_limits *have)
{
	for (size_t i = 0; i < have->n_limits; i++)
		for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++) {
			const struct nft_limit *from = &have->limits[i];

			if (!from->most[kind])
				continue;
			MEM_GROW(l->accounts, l->n_accounts);
			l->accounts[l->n_accounts++] = (struct limit_account){
				.id = from->id,
				.kind = (enum nft_limit_kind)kind,
				.most = from->most[kind],
				.before = from->before[kind],
				.state = from->before[kind] ? LIMIT_BEGAN : LIMIT_COUNTS,
			};
		}
	if (l->n_accounts)
		qsort(l->accounts, l->n_accounts, sizeof(*l->accounts), account_cmp);
	rooms_found(l, have);
}

/* ---- what is wanted ---- */

static struct addr addr_of(const struct nft_model *m, uint32_t id)
{
	for (size_t i = 0; i < m->n_addresses; i++)
		if (m->addresses[i].id == id)
			return m->addresses[i].addr;
	return (struct addr){0};
}

/* What is known to hold of two edits, one upon the other, is the number before them. */
static void account_edit(struct limits *l, struct limit_account *a, uint32_t most)
{
	if (a->state == LIMIT_BEGINS && !a->before) {
		a->most = most;
		return;
	}
	if (!a->before)
		a->before = a->most;
	a->most = most;
	a->state = LIMIT_BEGINS;
	if (a->before == most) {
		a->before = 0;
		a->state = LIMIT_BEGAN;
	}
	rooms_stale(l, a);
}

static void account_want(struct limits *l, const struct limit_account *want,
			 struct limit_account *ret)
{
	const struct limit_account *have = limit_account_find(l, want->id, want->kind);

	*ret = *want;
	if (!have)
		return;
	if (!addr_is_zero(have->addr) && !addr_eq(have->addr, want->addr)) {
		holders_drop(l, have);
		return;
	}
	*ret = *have;
	ret->addr = want->addr;
	if (have->most != want->most)
		account_edit(l, ret, want->most);
}

void limits_want(struct limits *l, const struct nft_model *m)
{
	struct limit_account *list = mem_alloc0((m->n_limits * NFT_LIMIT_KINDS + 1) *
						sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < m->n_limits; i++)
		for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++) {
			const struct limit_account want = {
				.id = m->limits[i].id,
				.kind = (enum nft_limit_kind)kind,
				.addr = addr_of(m, m->limits[i].id),
				.most = m->limits[i].most[kind],
				.state = LIMIT_BEGINS,
			};

			if (want.most)
				account_want(l, &want, &list[n++]);
		}
	qsort(list, n, sizeof(*list), account_cmp);
	for (size_t i = 0; i < l->n_accounts; i++)
		if (!n || !bsearch(&l->accounts[i], list, n, sizeof(*list), account_cmp))
			holders_drop(l, &l->accounts[i]);
	free(l->accounts);
	l->accounts = list;
	l->n_accounts = n;
}

void limits_lost(struct limits *l)
{
	for (size_t i = 0; i < l->n_accounts; i++) {
		l->accounts[i].state = LIMIT_BEGINS;
		l->accounts[i].before = 0;
	}
	l->n_holders = 0;
}

void limits_restarted(struct limits *l)
{
	for (size_t i = 0; i < l->n_accounts; i++) {
		l->accounts[i].state = LIMIT_BEGAN;
		l->accounts[i].before = 0;
		rooms_stale(l, &l->accounts[i]);
	}
}

void limits_came(struct limits *l, struct addr seen)
{
	for (size_t i = 0; i < l->n_accounts; i++) {
		struct limit_account *a = &l->accounts[i];

		if (!addr_eq(a->addr, seen) || a->state == LIMIT_BEGINS)
			continue;
		a->state = LIMIT_BEGAN;
		rooms_stale(l, a);
	}
}

void limits_carried(struct limits *l)
{
	for (size_t i = 0; i < l->n_accounts; i++)
		if (l->accounts[i].state == LIMIT_BEGINS)
			l->accounts[i].state = LIMIT_BEGAN;
	for (size_t i = 0; i < l->n_holders; i++)
		for (int slot = 0; slot < NFT_ROOM_SLOTS; slot++)
			l->holders[i].rooms[slot].in_force = true;
}

bool limits_begin(const struct limits *l)
{
	for (size_t i = 0; i < l->n_accounts; i++)
		if (l->accounts[i].state == LIMIT_BEGINS)
			return true;
	return false;
}

bool limits_settled(const struct limits *l)
{
	for (size_t i = 0; i < l->n_accounts; i++)
		if (l->accounts[i].state != LIMIT_COUNTS || l->accounts[i].before ||
		    l->accounts[i].unsure)
			return false;
	for (size_t i = 0; i < l->n_holders; i++)
		if (l->holders[i].rooms[limit_slot_unsure(&l->holders[i])].serial)
			return false;
	return true;
}

/* ---- for the model ---- */

size_t limits_rooms(const struct limits *l, struct nft_room **ret)
{
	struct nft_room *list = mem_alloc0((l->n_holders * NFT_ROOM_SLOTS + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < l->n_holders; i++)
		for (uint32_t slot = 0; slot < NFT_ROOM_SLOTS; slot++) {
			const struct limit_holder *h = &l->holders[i];

			if (h->rooms[slot].serial)
				list[n++] = (struct nft_room){
					.pod = h->pod,
					.id = h->id,
					.more = h->rooms[slot].more,
					.serial = h->rooms[slot].serial,
					.kind = h->kind,
					.slot = slot,
				};
		}
	*ret = list;
	return n;
}

void limits_befores(const struct limits *l, struct nft_limit *limits, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++) {
			const struct limit_account *a = limit_account_find(
				l, limits[i].id, (enum nft_limit_kind)kind);

			limits[i].before[kind] = a ? a->before : 0;
		}
}
