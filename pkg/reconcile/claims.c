/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/claims.h"

#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/announce.h"

static const int announce_after[] = {0, 100, 1000, 1100}; /* at 0, 0.1, 1.1 and 2.2 s */
#define N_ANNOUNCE ((int)(sizeof(announce_after) / sizeof(announce_after[0])))

static uint64_t addr_hash(struct addr a)
{
	return hash_bytes(a.b, sizeof(a.b), 0);
}

static struct claim *claim_find(const struct claims *c, struct addr addr)
{
	const struct hash_index *ix = &c->index;

	for (uint32_t i = hash_index_first(ix, addr_hash(addr)); i != HASH_INDEX_END;
	     i = hash_index_next(ix, i))
		if (addr_eq(c->items[i].addr, addr))
			return &c->items[i];
	return NULL;
}

const struct claim *claims_find(const struct claims *c, struct addr addr)
{
	return claim_find(c, addr);
}

static struct claim *claim_get(struct claims *c, struct addr addr)
{
	struct claim *k = claim_find(c, addr);

	if (k)
		return k;
	MEM_GROW(c->items, c->n);
	hash_index_add(&c->index, addr_hash(addr));
	c->items[c->n] = (struct claim){.addr = addr};
	return &c->items[c->n++];
}

/* True: there is nobody to ask on the segment, for who has it hands it over. */
static bool claim_moves(struct claims *c, struct claim *k, const struct egress_addr *a)
{
	enum move_coming how = MOVE_PROBE;

	if (c->moves)
		how = c->moves->coming(c->moves->data, a);
	if (how == MOVE_PROBE)
		return false;
	k->state = how == MOVE_TAKE ? CLAIM_HELD : CLAIM_NEW;
	k->comes = how == MOVE_WAIT;
	k->bare = how == MOVE_TAKE && !k->ready;
	k->problem[0] = '\0';
	return true;
}

static const char *link_problem(const struct link_info *l)
{
	return !l			   ? "its interface is gone"
	       : !(l->flags & IFF_UP)	   ? "its interface is down"
	       : !(l->flags & IFF_RUNNING) ? "its interface has no carrier"
					   : NULL;
}

static void announce_again(struct claim *k, int64_t now)
{
	k->step = 0;
	k->next_at = k->announce ? now : 0;
}

static void claim_is_there(struct claims *c, struct claim *k, bool again, int64_t now)
{
	bool held = k->state == CLAIM_HELD;

	k->owed |= !held;
	if ((held && again) || (k->owed && k->running && membership_settled(c->membership))) {
		announce_again(k, now);
		k->owed = false;
	}
	k->state = CLAIM_HELD;
	k->problem[0] = '\0';
	k->tries = 0;
}

static void claim_one(struct claims *c, struct claim *k, const struct egress_addr *a,
		      const struct node_state *node)
{
	const struct link_info *l = a->interface ? node_link_name(node, a->interface) : NULL;
	bool running = l && l->flags & IFF_RUNNING, back = running && !k->running;
	int64_t now = clock_ms();

	k->announce = a->announce;
	k->running = running;
	if (!l || !(l->flags & IFF_UP)) {
		claim_blocked(k, now, link_problem(l));
		return;
	}
	k->ifindex = l->ifindex;
	k->has_mac = l->has_mac;
	if (l->has_mac)
		memcpy(k->mac, l->mac, sizeof(k->mac));
	if (node_addr(node, l->ifindex, a->addr)) {
		claim_is_there(c, k, back || c->returns != membership_returns(c->membership), now);
		return;
	}
	if (running && claim_moves(c, k, a))
		return;
	if (k->state != CLAIM_NEW && k->state != CLAIM_HELD && now < k->retry_at)
		return;
	if (!running) {
		claim_blocked(k, now, link_problem(l));
		return;
	}
	if (k->state == CLAIM_HELD)
		k->state = CLAIM_NEW; /* it was taken off */
	k->ask = membership_settled(c->membership);
}

static void claims_sweep(struct claims *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].seen)
			c->items[kept++] = c->items[i];
	if (kept == c->n)
		return;
	c->n = kept;
	hash_index_done(&c->index);
	for (size_t i = 0; i < c->n; i++)
		hash_index_add(&c->index, addr_hash(c->items[i].addr));
}

/* Not ours any more: it stays while its connections go to who is to have it. */
static void claim_leaves(struct claims *c, const struct egress_addr *a,
			 const struct node_state *node, struct place *place)
{
	struct claim *k = claim_find(c, a->addr);
	enum move_leaving how;

	if (!c->moves || !k || k->state != CLAIM_HELD || a->problem || !a->owner ||
	    !node_addr(node, k->ifindex, a->addr))
		return;
	how = c->moves->leaving(c->moves->data, a);
	if (how == MOVE_GONE)
		return;
	k->seen = k->leaves = true;
	k->bare = how == MOVE_LET;
	k->next_at = 0;
	place->leaves = k->ifindex;
	place->bare = k->bare;
}

static bool wanted_here(const struct egress_addr *a)
{
	return a->local && a->assign && !a->problem;
}

static void place_claim(const struct claim *k, struct place *ret)
{
	ret->held = k->state == CLAIM_HELD;
	ret->comes = k->comes || k->state == CLAIM_PEER;
	ret->bare = k->bare;
}

static void claim_begin(struct claim *k)
{
	k->seen = k->ask = k->comes = k->bare = k->leaves = false;
}

void claims_update(struct claims *c, const struct egress_addr *addrs, size_t n,
		   const struct node_state *node, struct place *places)
{
	if (c->moves)
		c->moves->look(c->moves->data);
	for (size_t i = 0; i < c->n; i++)
		claim_begin(&c->items[i]);
	for (size_t i = 0; i < n; i++) {
		struct claim *k;

		places[i] = (struct place){.held = true};
		if (!addrs[i].local)
			claim_leaves(c, &addrs[i], node, &places[i]);
		if (!wanted_here(&addrs[i]))
			continue;
		k = claim_get(c, addrs[i].addr);
		k->seen = true;
		claim_one(c, k, &addrs[i], node);
	}
	c->returns = membership_returns(c->membership);
	claims_probe(c);
	for (size_t i = 0; c->moves && i < c->n; i++)
		if (c->items[i].ask && c->items[i].state == CLAIM_HELD)
			c->moves->seizing(c->moves->data, c->items[i].addr);
	for (size_t i = 0; i < n; i++)
		if (wanted_here(&addrs[i]))
			place_claim(claim_get(c, addrs[i].addr), &places[i]);
	claims_sweep(c);
}

/* Also when the last update had no time to ask again: what is blocked behind a link in order is. */
const struct claim *claims_failed(const struct claims *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].running && c->items[i].state == CLAIM_BLOCKED)
			return &c->items[i];
	return NULL;
}

int64_t claims_retry_at(const struct claims *c)
{
	int64_t at = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct claim *k = &c->items[i];

		if (k->state != CLAIM_NEW && k->state != CLAIM_HELD && (!at || k->retry_at < at))
			at = k->retry_at;
	}
	return at;
}

void claims_arrives(struct claims *c, struct addr addr)
{
	claim_get(c, addr)->arrives = true;
}

void claims_added(struct claims *c, struct addr addr)
{
	struct claim *k = claim_get(c, addr);

	k->arrives = false;
	log_info("address claimed", "address=%s interface=%u", addr_str(addr), k->ifindex);
	announce_again(k, clock_ms());
}

void claims_settled(struct claims *c)
{
	for (size_t i = 0; c->moves && i < c->n; i++) {
		struct claim *k = &c->items[i];

		k->ready = k->bare && !k->leaves;
		if (k->state == CLAIM_HELD && !k->arrives && (k->bare || !k->leaves))
			c->moves->settled(c->moves->data, k->addr, k->bare);
	}
}

static void claim_announce(struct claims *c, struct claim *k, int64_t now)
{
	struct err e = {0};

	if (announce_send(claims_announcer(c), k->ifindex, k->mac, k->addr, &e) < 0)
		log_warn("announcement failed", "address=%s error=%s", addr_str(k->addr),
			 log_quote(e.msg));
	else
		c->announcements++;
	k->step++;
	k->next_at = k->step < N_ANNOUNCE ? now + announce_after[k->step] : 0;
}

int64_t claims_run(struct claims *c, int64_t now)
{
	int64_t next = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct claim *k = &c->items[i];

		if (k->next_at && k->next_at <= now)
			claim_announce(c, k, now);
		if (k->next_at && (!next || k->next_at < next))
			next = k->next_at;
	}
	return next;
}

struct announcer *claims_announcer(struct claims *c)
{
	if (!c->announcer)
		c->announcer = announcer_new();
	return c->announcer;
}

void claims_rest(struct claims *c)
{
	if (c->announcer)
		announcer_rest(c->announcer);
}

void claims_done(struct claims *c)
{
	announcer_free(c->announcer);
	c->announcer = NULL;
	hash_index_done(&c->index);
	free(c->items);
	c->items = NULL;
	c->n = 0;
}
