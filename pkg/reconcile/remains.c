/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/remains.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

static uint64_t addr_hash(struct addr a)
{
	return hash_bytes(a.b, sizeof(a.b), 0);
}

static struct remain *find(const struct remains *r, struct addr a)
{
	const struct hash_index *ix = &r->index;

	for (uint32_t i = hash_index_first(ix, addr_hash(a)); i != HASH_INDEX_END;
	     i = hash_index_next(ix, i))
		if (addr_eq(r->list[i].addr, a))
			return &r->list[i];
	return NULL;
}

static struct remain *get(struct remains *r, struct addr a)
{
	struct remain *k = find(r, a);

	if (k)
		return k;
	MEM_GROW(r->list, r->n);
	hash_index_add(&r->index, addr_hash(a));
	k = &r->list[r->n++];
	*k = (struct remain){.addr = a};
	return k;
}

/* Leaves those that are seen. */
static void sweep(struct remains *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->list[i].seen)
			r->list[kept++] = r->list[i];
	if (kept == r->n)
		return;
	r->n = kept;
	hash_index_done(&r->index);
	for (size_t i = 0; i < r->n; i++)
		hash_index_add(&r->index, addr_hash(r->list[i].addr));
}

void remains_begin(struct remains *r)
{
	for (size_t i = 0; i < r->n; i++)
		r->list[i].seen = false;
}

void remains_put(struct remains *r, struct addr a, enum remains_place place, int64_t now)
{
	struct remain *k = place == REMAINS_HERE || !r->begun ? get(r, a) : find(r, a);

	if (!k)
		return;
	k->seen = true;
	if (place != REMAINS_AWAY)
		k->until = 0;
	else if (!k->until)
		k->until = now + REMAINS_MS;
}

/* One that the policies have no more has no number by which to know its connections. */
void remains_end(struct remains *r)
{
	sweep(r);
	r->begun = true;
}

void remains_made(struct remains *r, struct addr a)
{
	get(r, a)->until = 0;
}

int64_t remains_due(const struct remains *r)
{
	int64_t due = 0;

	for (size_t i = 0; i < r->n; i++) {
		int64_t until = r->list[i].until;

		if (until && (!due || until < due))
			due = until;
	}
	return due;
}

size_t remains_take(struct remains *r, int64_t now, struct addr **ret)
{
	struct addr *list = mem_alloc0((r->n + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct remain *k = &r->list[i];

		k->seen = !k->until || k->until > now;
		if (!k->seen)
			list[n++] = k->addr;
	}
	sweep(r);
	*ret = list;
	return n;
}

void remains_done(struct remains *r)
{
	hash_index_done(&r->index);
	free(r->list);
	*r = (struct remains){0};
}
