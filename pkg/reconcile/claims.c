/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/claims.h"

#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "gateway/announce.h"

#define PROBE_MS	50
#define PROBES_PER_PASS 4
#define CONFLICT_MS	250 /* doubled each time, up to: */
#define CONFLICT_MAX_MS 10000
#define CONFLICT_SAY                                                                               \
	4 /* times it was held by another before it is called a conflict: an owner that lets go is \
	     no error */
#define BLOCKED_MS 1000

static const int announce_after[] = {0, 100, 1000, 1100}; /* at 0, 0.1, 1.1 and 2.2 s */
#define N_ANNOUNCE ((int)(sizeof(announce_after) / sizeof(announce_after[0])))

int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct claim *claim_find(const struct claims *c, struct addr addr)
{
	for (size_t i = 0; i < c->n; i++)
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
	c->items[c->n] = (struct claim){.addr = addr};
	return &c->items[c->n++];
}

static void claim_blocked(struct claim *k, int64_t now, const char *text)
{
	if (k->state != CLAIM_BLOCKED)
		log_warn("address not claimed", "address=%s reason=%s", addr_str(k->addr),
			 log_quote(text));
	k->state = CLAIM_BLOCKED;
	k->retry_at = now + BLOCKED_MS;
	snprintf(k->problem, sizeof(k->problem), "%s", text);
}

static void claim_conflict(struct claim *k, int64_t now, const uint8_t mac[6])
{
	int64_t wait = CONFLICT_MS << (k->tries < 6 ? k->tries : 6);

	if (++k->tries == CONFLICT_SAY)
		log_error("address conflict",
			  "address=%s interface=%u held_by=%02x:%02x:%02x:%02x:%02x:%02x",
			  addr_str(k->addr), k->ifindex, mac[0], mac[1], mac[2], mac[3], mac[4],
			  mac[5]);
	k->state = CLAIM_CONFLICT;
	k->retry_at = now + (wait < CONFLICT_MAX_MS ? wait : CONFLICT_MAX_MS);
	snprintf(k->problem, sizeof(k->problem), "%02x:%02x:%02x:%02x:%02x:%02x has it", mac[0],
		 mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void claim_probe(struct claim *k, const struct link_info *l)
{
	struct err e = {0};
	uint8_t mac[6] = {0};
	int64_t now = clock_ms();
	int r;

	if (!k->announce || !l->has_mac) {
		k->state = CLAIM_HELD; /* nobody on a segment to ask */
		return;
	}
	r = announce_probe(l->ifindex, l->mac, k->addr, PROBE_MS, mac, &e);
	if (r < 0)
		claim_blocked(k, now, e.msg);
	else if (r > 0)
		claim_conflict(k, now, mac);
	else
		k->state = CLAIM_HELD;
	if (r == 0) {
		k->problem[0] = '\0';
		k->tries = 0;
	}
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
	k->problem[0] = '\0';
	return true;
}

/* 1 = it waits for a later call. */
static int claim_one(struct claims *c, struct claim *k, const struct egress_addr *a,
		     const struct node_state *node, int *probes)
{
	int64_t now = clock_ms();
	const struct link_info *l = a->interface ? node_link_name(node, a->interface) : NULL;

	k->announce = a->announce;
	if (!l || !(l->flags & IFF_UP)) {
		claim_blocked(k, now, l ? "its interface is down" : "its interface is gone");
		return 0;
	}
	k->ifindex = l->ifindex;
	if (l->has_mac)
		memcpy(k->mac, l->mac, sizeof(k->mac));
	if (node_addr(node, l->ifindex, a->addr)) {
		k->state = CLAIM_HELD;
		k->problem[0] = '\0';
		return 0;
	}
	if ((k->state == CLAIM_CONFLICT || k->state == CLAIM_BLOCKED) && now < k->retry_at)
		return 0;
	if (claim_moves(c, k, a))
		return 0;
	if (*probes == 0) {
		k->state = CLAIM_NEW;
		return 1;
	}
	--*probes;
	claim_probe(k, l);
	return 0;
}

static void claims_sweep(struct claims *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].seen)
			c->items[kept++] = c->items[i];
	c->n = kept;
}

/* Not ours any more: the interface it stays on while its connections go to who is to have it. */
static uint32_t claim_leaves(struct claims *c, const struct egress_addr *a,
			     const struct node_state *node)
{
	struct claim *k = claim_find(c, a->addr);

	if (!c->moves || !k || k->state != CLAIM_HELD || a->problem || !a->owner ||
	    !node_addr(node, k->ifindex, a->addr) || !c->moves->leaving(c->moves->data, a))
		return 0;
	k->seen = true;
	return k->ifindex;
}

int claims_update(struct claims *c, const struct egress_addr *addrs, size_t n,
		  const struct node_state *node, struct place *places)
{
	int probes = PROBES_PER_PASS, more = 0;

	if (c->moves)
		c->moves->look(c->moves->data);
	for (size_t i = 0; i < c->n; i++)
		c->items[i].seen = false;
	for (size_t i = 0; i < n; i++) {
		struct claim *k;

		places[i] = (struct place){.held = true};
		if (!addrs[i].local)
			places[i].leaves = claim_leaves(c, &addrs[i], node);
		if (!addrs[i].local || !addrs[i].assign || addrs[i].problem)
			continue;
		k = claim_get(c, addrs[i].addr);
		k->seen = true;
		more |= claim_one(c, k, &addrs[i], node, &probes);
		places[i].held = k->state == CLAIM_HELD;
	}
	claims_sweep(c);
	return more;
}

void claims_added(struct claims *c, struct addr addr)
{
	struct claim *k = claim_get(c, addr);

	log_info("address claimed", "address=%s interface=%u", addr_str(addr), k->ifindex);
	k->step = 0;
	k->next_at = k->announce ? clock_ms() : 0;
}

void claims_settled(struct claims *c)
{
	for (size_t i = 0; c->moves && i < c->n; i++)
		if (c->items[i].state == CLAIM_HELD)
			c->moves->taken(c->moves->data, c->items[i].addr);
}

static void claim_announce(struct claim *k, int64_t now)
{
	struct err e = {0};

	if (announce_send(k->ifindex, k->mac, k->addr, &e) < 0)
		log_warn("announcement failed", "address=%s error=%s", addr_str(k->addr),
			 log_quote(e.msg));
	k->step++;
	k->next_at = k->step < N_ANNOUNCE ? now + announce_after[k->step] : 0;
}

int64_t claims_run(struct claims *c, int64_t now)
{
	int64_t next = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct claim *k = &c->items[i];

		if (k->next_at && k->next_at <= now)
			claim_announce(k, now);
		if (k->next_at && (!next || k->next_at < next))
			next = k->next_at;
	}
	return next;
}

void claims_done(struct claims *c)
{
	free(c->items);
	*c = (struct claims){.moves = c->moves};
}
