/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * Room in "named" is shared by all namespaces of a node, and any pod whose policy has a
 * wildcard can fill it: its own zone gives every name an address. So each namespace has a
 * list of its elements, in the order in which they were last learned, and may take a place
 * only while it has fewer than are left for all (a threshold that moves: one namespace alone
 * gets half of the room, with two that want all of it each gets a third, and so on). One that
 * may not pushes out its own oldest. So there is always room for who has little, nobody
 * loses anything to another, and no share has to be configured.
 *
 * The lists are one value under one lock, since a program may not look anything up while it
 * holds one. An element of "named" knows its place and the place knows the element's key, which
 * tells, under the lock, whether an element that was looked up before is still the same: the
 * kernel may have used its memory for another address meanwhile.
 *
 * An element is marked under the lock before it is deleted (SLU_NAME_GONE); who meets such an
 * element waits until it is gone and makes a new one.
 */
#include "bpf/common.bpf.h"

#define SHARES	      4096 /* namespaces by their hash; two of one hash have one share */
#define SHARE_PLACES  (SLU_MAX_NAMED - 1024) /* what is being deleted takes room, too */
#define NAMED_CHANGES 4096

struct share_place {
	struct slu_named_key key;
	__u32 older, newer; /* 0 = none */
};

struct share {
	__u32 oldest, newest, n;
};

/* One lock for all elements of "named": answers are rare. */
struct names_guard {
	struct bpf_spin_lock lock;
	__u32 swept; /* the second in which expired elements were last looked for */
	__u32 used;
	__u32 begun; /* places 1..begun were used at some time */
	__u32 loose; /* one that was given back; `newer` leads to the next */
	__u32 pad;
	struct share shares[SHARES];
	__u32 changes[NAMED_CHANGES]; /* of the elements of one hash, so far */
	struct share_place places[SLU_MAX_NAMED];
};

SLU_MAP(names_guard, BPF_MAP_TYPE_ARRAY, __u32, struct names_guard, 1, 0);

static __always_inline struct names_guard *names_guard_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&names_guard, &zero);
}

/* The kind that an element is of; told by who learns, before the pod can act on it. */
static __always_inline __u32 named_kind(const struct slu_addr *a, __u32 tenant)
{
	const __u32 *w = a->w;

	_Static_assert(NAMED_CHANGES == 1 << (64 - 52), "kinds");
	return hash_of(w[3] ^ (__u64)w[1] << 32, w[2] ^ w[0] ^ (__u64)tenant << 32) >> 52;
}

static __always_inline __u32 *named_changes(const struct slu_addr *a, __u32 tenant)
{
	struct names_guard *g = names_guard_get();

	return g ? &g->changes[named_kind(a, tenant)] : NULL;
}

static __always_inline void named_changed(const struct slu_named_key *key)
{
	__u32 *changes = named_changes(&key->addr, key->tenant);

	if (changes)
		__sync_fetch_and_add(changes, 1);
}

static __always_inline bool named_key_same(const struct slu_named_key *a,
					   const struct slu_named_key *b)
{
	return addr_same(&a->addr, &b->addr) && a->tenant == b->tenant;
}

/* ---- with the lock held ---- */

static __always_inline struct share_place *place_at(struct names_guard *g, __u32 i)
{
	barrier_var(i);
	return &g->places[i & (SLU_MAX_NAMED - 1)];
}

static __always_inline struct share *share_of(struct names_guard *g, __u32 tenant)
{
	barrier_var(tenant);
	return &g->shares[tenant & (SHARES - 1)];
}

/* At the end of those of its namespace. */
static __always_inline void place_link(struct names_guard *g, __u32 i)
{
	struct share_place *p = place_at(g, i);
	struct share *s = share_of(g, p->key.tenant);

	p->newer = 0;
	p->older = s->newest;
	if (s->newest)
		place_at(g, s->newest)->newer = i;
	else
		s->oldest = i;
	s->newest = i;
	s->n++;
}

static __always_inline void place_unlink(struct names_guard *g, __u32 i)
{
	struct share_place *p = place_at(g, i);
	struct share *s = share_of(g, p->key.tenant);

	if (p->older)
		place_at(g, p->older)->newer = p->newer;
	else
		s->oldest = p->newer;
	if (p->newer)
		place_at(g, p->newer)->older = p->older;
	else
		s->newest = p->older;
	s->n--;
}

/* What it was for is not known there any more. */
static __always_inline void place_give(struct names_guard *g, __u32 i)
{
	struct share_place *p = place_at(g, i);

	place_unlink(g, i);
	__builtin_memset(&p->key, 0, sizeof(p->key));
	p->newer = g->loose;
	g->loose = i;
	g->used--;
}

/* The element that was found under the key is still the key's, and stays. */
static __always_inline bool named_stands(struct names_guard *g, const struct slu_named *e,
					 const struct slu_named_key *key)
{
	return e->at[0].name != SLU_NAME_GONE && named_key_same(&place_at(g, e->place)->key, key);
}

/* ---- taking the lock ---- */

/* A place for an element that is then put into "named"; 0: the namespace has its share. */
static __always_inline __u32 share_take(const struct slu_named_key *key)
{
	struct names_guard *g = names_guard_get();
	__u32 i = 0;

	if (!g)
		return 0;
	bpf_spin_lock(&g->lock);
	if (share_of(g, key->tenant)->n < SHARE_PLACES - g->used) {
		i = g->loose;
		if (i)
			g->loose = place_at(g, i)->newer;
		else
			i = ++g->begun;
		place_at(g, i)->key = *key;
		place_link(g, i);
		g->used++;
	}
	bpf_spin_unlock(&g->lock);
	return i;
}

static __always_inline void share_give(__u32 place)
{
	struct names_guard *g = names_guard_get();

	if (!g)
		return;
	bpf_spin_lock(&g->lock);
	place_give(g, place);
	bpf_spin_unlock(&g->lock);
}

/*
 * The oldest of the tenant's goes; *key is where its name is kept meanwhile. 1: it went, -1: try
 * again, 0: it has none.
 */
static __always_inline int share_push(__u32 tenant, struct slu_named_key *key)
{
	struct names_guard *g = names_guard_get();
	struct slu_named *e;
	bool goes;
	__u32 i;

	if (!g)
		return 0;
	bpf_spin_lock(&g->lock);
	i = share_of(g, tenant)->oldest;
	*key = place_at(g, i)->key;
	bpf_spin_unlock(&g->lock);
	if (!i)
		return 0;
	e = bpf_map_lookup_elem(&named, key);
	if (!e) /* somebody is putting it there */
		return -1;
	bpf_spin_lock(&g->lock);
	goes = e->place == i && named_stands(g, e, key);
	if (goes) {
		e->at[0].name = SLU_NAME_GONE;
		place_give(g, i);
	}
	bpf_spin_unlock(&g->lock);
	if (!goes)
		return -1;
	bpf_map_delete_elem(&named, key);
	return 1;
}
