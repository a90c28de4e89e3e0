/* SPDX-License-Identifier: Apache-2.0 */
/* What a look at conntrack means for the rooms. */
#include "reconcile/limits_priv.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define STEPS 256 /* different rooms of one limit, so that chains do not become too many */

/* ---- what conntrack says ---- */

struct held {
	struct ct_holding is;
	uint32_t since;
};

/* Of one pod: a run of the sorted list. */
struct count {
	struct limit_holder key;
	const struct held *first;
	size_t len;
};

static int held_cmp(const void *a, const void *b)
{
	const struct ct_holding *x = &((const struct held *)a)->is,
				*y = &((const struct held *)b)->is;
	int c = addr_cmp(x->seen, y->seen);

	if (!c)
		c = addr_cmp(x->pod, y->pod);
	if (!c)
		c = (x->proto > y->proto) - (x->proto < y->proto);
	if (!c)
		c = (x->port > y->port) - (x->port < y->port);
	return c ? c : (x->id > y->id) - (x->id < y->id);
}

static int known_cmp(const void *a, const void *b)
{
	const struct limit_known *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* The list, sorted, and when each was seen first; what is known now is this. */
static struct held *held_of(struct limits *l, const struct ct_holding *list, size_t n)
{
	struct limit_known *known = mem_alloc0((n + 1) * sizeof(*known));
	struct held *ret = mem_alloc0((n + 1) * sizeof(*ret));

	for (size_t i = 0; i < n; i++) {
		const struct limit_known key = {.id = list[i].id};
		const struct limit_known *k = l->n_known ? bsearch(&key, l->known, l->n_known,
								   sizeof(key), known_cmp)
							 : NULL;

		ret[i] = (struct held){list[i], k ? k->since : l->looks};
		known[i] = (struct limit_known){list[i].id, ret[i].since};
	}
	qsort(ret, n, sizeof(*ret), held_cmp);
	qsort(known, n, sizeof(*known), known_cmp);
	free(l->known);
	l->known = known;
	l->n_known = n;
	return ret;
}

static bool same_pod(const struct held *a, const struct held *b)
{
	return addr_eq(a->is.seen, b->is.seen) && addr_eq(a->is.pod, b->is.pod);
}

static bool same_place(enum nft_limit_kind kind, const struct held *a, const struct held *b)
{
	return a->is.proto == b->is.proto && a->is.port == b->is.port &&
	       (kind == NFT_PORTS || a->is.id == b->is.id);
}

struct tally {
	uint32_t n;
	uint32_t old;	 /* with nothing younger than a look */
	uint32_t before; /* that the look before this one knew */
};

/* Connections, or ports; a resized table tells some twice. */
static struct tally tally_of(const struct limits *l, const struct count *c,
			     enum nft_limit_kind kind, uint32_t look)
{
	struct tally t = {0};
	size_t run;

	for (size_t i = 0; c && i < c->len; i += run) {
		const struct held *h = &c->first[i];
		uint32_t first = h->since, last = h->since;

		for (run = 1; i + run < c->len && same_place(kind, h, h + run); run++) {
			first = h[run].since < first ? h[run].since : first;
			last = h[run].since > last ? h[run].since : last;
		}
		t.n++;
		t.old += last <= look;
		t.before += first < l->looks;
	}
	return t;
}

static int count_cmp(const void *a, const void *b)
{
	return limit_holder_cmp(&((const struct count *)a)->key, &((const struct count *)b)->key);
}

static size_t counts_of(const struct limits *l, const struct held *list, size_t n,
			struct count **ret)
{
	size_t kept = 0, run;

	*ret = NULL;
	for (size_t i = 0; i < n; i += run) {
		for (run = 1; i + run < n && same_pod(&list[i], &list[i + run]); run++)
			;
		for (size_t k = 0; k < l->n_accounts; k++) {
			const struct limit_account *a = &l->accounts[k];

			if (!addr_eq(a->addr, list[i].is.seen))
				continue;
			MEM_GROW(*ret, kept);
			(*ret)[kept++] = (struct count){
				.key = {.id = a->id,
					.kind = a->kind,
					.pod = list[i].is.pod,
					.sure = -1},
				.first = &list[i],
				.len = run,
			};
		}
	}
	if (kept)
		qsort(*ret, kept, sizeof(**ret), count_cmp);
	return kept;
}

/* ---- rooms ---- */

static uint32_t room_for(const struct limit_account *a, uint32_t held)
{
	uint32_t more = a->most > held ? a->most - held : 0, step = a->most / STEPS;

	return step ? more - more % step : more;
}

static void room_put(const struct limits *l, struct limit_holder *h, uint32_t more)
{
	h->rooms[limit_slot_unsure(h)] = (struct limit_room){
		.more = more, .serial = l->serial, .since = l->looks};
}

static void room_sure(struct limit_holder *h)
{
	int slot = limit_slot_unsure(h);

	if (h->sure >= 0)
		h->rooms[h->sure] = (struct limit_room){0};
	h->sure = slot;
}

/* It is in force: has the pod now no more than it was made for? Else a new one, and narrower by
 * what began since, for a pod that begins more all the time. */
static void room_check(const struct limits *l, const struct limit_account *a,
		       struct limit_holder *h, uint32_t held)
{
	const struct limit_room *room = &h->rooms[limit_slot_unsure(h)];
	uint32_t assumed = a->most > room->more ? a->most - room->more : 0;

	if (!room->in_force)
		return;
	if (held <= assumed || room->more == 0)
		room_sure(h);
	else
		room_put(l, h, room_for(a, held + (held - assumed)));
}

/* Is a new room worth it? Of the one that is there, what began since is used. */
static bool room_is_narrow(const struct limits *l, const struct limit_account *a,
			   const struct limit_holder *h, const struct count *c)
{
	const struct limit_room *room = &h->rooms[h->sure];
	struct tally t = tally_of(l, c, a->kind, room->since);
	int64_t more = room_for(a, t.n), closed = (int64_t)h->held - t.before;
	int64_t left = (int64_t)room->more - (t.n - t.old);

	return more > room->more || more - (left > 0 ? left : 0) > (closed > 0 ? closed : 0);
}

static bool has_room(const struct limit_holder *h)
{
	return h->rooms[0].serial || h->rooms[1].serial;
}

/* False: it needs no room. */
static bool holder_step(const struct limits *l, const struct limit_account *a,
			struct limit_holder *h, const struct count *c)
{
	uint32_t held = tally_of(l, c, a->kind, 0).n;
	const struct limit_room *room = &h->rooms[limit_slot_unsure(h)];

	switch (a->state) {
	case LIMIT_BEGINS:
		if (!a->before && held)
			room_put(l, h, room_for(a, held));
		break;
	case LIMIT_BEGAN:
		if (!held)
			return false;
		if (room->serial && !room->stale)
			room_check(l, a, h, held);
		else
			room_put(l, h, room_for(a, held));
		break;
	default:
		if (!tally_of(l, c, NFT_CONNECTIONS, a->began).old)
			return false;
		if (room->serial)
			room_check(l, a, h, held);
		else if (h->sure < 0 || room_is_narrow(l, a, h, c))
			room_put(l, h, room_for(a, held));
	}
	h->held = held;
	return has_room(h);
}

/* Who is in either list, in order. */
static void holders_step(struct limits *l, const struct count *counts, size_t n)
{
	struct limit_holder *list = mem_alloc0((n + l->n_holders + 1) * sizeof(*list));
	size_t i = 0, k = 0, kept = 0;

	while (i < l->n_holders || k < n) {
		int d = i == l->n_holders ? 1
			: k == n	  ? -1
					  : limit_holder_cmp(&l->holders[i], &counts[k].key);
		struct limit_holder h = d <= 0 ? l->holders[i] : counts[k].key;
		struct limit_account *a = limit_account_find(l, h.id, h.kind);
		bool counted = a && (a->state == LIMIT_COUNTS && d > 0);

		if (a && !counted && holder_step(l, a, &h, d >= 0 ? &counts[k] : NULL)) {
			a->unsure += h.sure < 0 || h.rooms[h.sure].stale;
			list[kept++] = h;
		}
		i += d <= 0;
		k += d >= 0;
	}
	free(l->holders);
	l->holders = list;
	l->n_holders = kept;
}

void limits_step(struct limits *l, const struct ct_holding *list, size_t n)
{
	__cleanup_free struct count *counts = NULL;
	__cleanup_free struct held *held = NULL;
	size_t n_counts;

	l->looks++;
	l->serial = l->serial % NFT_ROOM_SERIALS + 1;
	held = held_of(l, list, n);
	n_counts = counts_of(l, held, n, &counts);
	for (size_t i = 0; i < l->n_accounts; i++)
		l->accounts[i].unsure = 0;
	holders_step(l, counts, n_counts);
	for (size_t i = 0; i < l->n_accounts; i++) {
		struct limit_account *a = &l->accounts[i];

		if (a->state == LIMIT_BEGAN) {
			a->state = LIMIT_COUNTS;
			a->began = l->looks;
		}
		if (a->state == LIMIT_COUNTS && !a->unsure)
			a->before = 0;
	}
}
