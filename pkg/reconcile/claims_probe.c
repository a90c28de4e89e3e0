/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has the addresses that this node is to take? All are asked for at once. A node that hears
 * no other gateway asks on the same occasion for others on the segment: silence about an address
 * means nothing where everything is silent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "gateway/announce.h"
#include "reconcile/claims.h"

#define PROBE_MS	50
#define CONFLICT_MS	250 /* doubled each time, up to: */
#define CONFLICT_MAX_MS 10000
#define CONFLICT_SAY                                                                               \
	4 /* times it was held by another before it is called a conflict: an owner that lets go is \
	     no error */
#define BLOCKED_MS   1000
#define UNSEEN_MS    250
#define PEER_MS	     100 /* and 2 ms for each that waits: the segment has others to carry */
#define PEER_PATIENT 100 /* times that one who is heard has it: then it is a conflict, too */

void claim_blocked(struct claim *k, int64_t now, const char *text)
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

/* Another gateway answers: it lives, whatever its daemon does. */
static void claim_peer(struct claim *k, int64_t now, const char *name, bool heard)
{
	if (k->state != CLAIM_PEER)
		log_info("address not claimed, another gateway has it",
			 "address=%s node=%s daemon=%s", addr_str(k->addr), name,
			 heard ? "heard" : "silent");
	k->state = CLAIM_PEER;
	k->answered_at = now;
	k->tries++;
	k->retry_at = now + PEER_MS;
	snprintf(k->problem, sizeof(k->problem),
		 heard ? "%s has it still"
		       : "%s has it, only its "
			 "daemon is away",
		 name);
}

/* ---- asking ---- */

#define SEGMENTS 16

/* What shows whether an interface's segment is seen; the families share it. */
struct segment {
	uint32_t ifindex;
	struct addr witnesses[2 * CLAIMS_WITNESSES];
	size_t n;
	bool must, seen;
};

struct round {
	struct probe *list;
	size_t n;
	struct segment segments[SEGMENTS];
	size_t n_segments;
};

static void probe_put(struct round *r, const struct claim *k, struct addr a)
{
	MEM_GROW(r->list, r->n);
	r->list[r->n] = (struct probe){.ifindex = k->ifindex, .addr = a};
	memcpy(r->list[r->n++].own_mac, k->mac, sizeof(k->mac));
}

static const struct probe *answer_find(const struct round *r, uint32_t ifindex, struct addr a)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->list[i].ifindex == ifindex && addr_eq(r->list[i].addr, a))
			return &r->list[i];
	return NULL;
}

static struct segment *segment_find(struct round *r, uint32_t ifindex)
{
	for (size_t i = 0; i < r->n_segments; i++)
		if (r->segments[i].ifindex == ifindex)
			return &r->segments[i];
	return NULL;
}

static void segment_put(struct claims *c, struct round *r, const struct claim *k)
{
	struct segment *s = &r->segments[r->n_segments];

	if (segment_find(r, k->ifindex) || r->n_segments == SEGMENTS)
		return;
	r->n_segments++;
	s->ifindex = k->ifindex;
	for (int v4 = 0; v4 < 2; v4++) {
		bool must = false;

		s->n += c->segment.witnesses(c->segment.data, k->ifindex, v4, &s->witnesses[s->n],
					     &must);
		s->must = s->must || must;
	}
	for (size_t i = 0; i < s->n; i++)
		probe_put(r, k, s->witnesses[i]);
}

static void segments_judge(struct round *r)
{
	for (size_t i = 0; i < r->n_segments; i++) {
		struct segment *s = &r->segments[i];

		s->seen = !s->must;
		for (size_t k = 0; k < s->n; k++) {
			const struct probe *p = answer_find(r, s->ifindex, s->witnesses[k]);

			s->seen = s->seen || p->taken;
		}
	}
}

static bool is_seen(struct round *r, uint32_t ifindex)
{
	const struct segment *s = segment_find(r, ifindex);

	return s && s->seen;
}

static void claim_answered(struct claims *c, struct round *r, struct claim *k, bool alone)
{
	const struct probe *p = answer_find(r, k->ifindex, k->addr);
	int64_t now = clock_ms();
	const char *peer = NULL;
	bool heard = false;

	if (p->err.code) {
		claim_blocked(k, now, p->err.msg);
		return;
	}
	if (p->taken)
		peer = membership_mac(c->membership, p->mac, &heard);
	if (peer && !(heard && k->tries >= PEER_PATIENT)) {
		claim_peer(k, now, peer, heard);
	} else if (p->taken) {
		claim_conflict(k, now, p->mac);
	} else if (alone && !is_seen(r, k->ifindex)) {
		claim_blocked(k, now, "nobody on the segment is seen, no other gateway is heard");
		k->retry_at = now + UNSEEN_MS;
	} else {
		k->state = CLAIM_HELD;
		k->problem[0] = '\0';
		k->tries = 0;
	}
}

static void meanwhile(void *data)
{
	if (data)
		membership_run(data);
}

void claims_probe(struct claims *c)
{
	bool alone = membership_alone(c->membership) && c->segment.witnesses;
	struct round r = {0};
	size_t waiting = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct claim *k = &c->items[i];

		if (k->ask && (!k->announce || !k->has_mac)) {
			k->state = CLAIM_HELD; /* nobody on a segment to ask */
			k->problem[0] = '\0';
			k->ask = false;
		}
		if (k->ask)
			probe_put(&r, k, k->addr);
	}
	for (size_t i = 0; i < c->n && alone; i++)
		if (c->items[i].ask)
			segment_put(c, &r, &c->items[i]);
	if (r.n)
		announce_probe_all(
			claims_announcer(c),
			&(struct probe_round){r.list, r.n, PROBE_MS, meanwhile, c->membership});
	segments_judge(&r);
	for (size_t i = 0; i < c->n; i++) {
		if (c->items[i].ask)
			claim_answered(c, &r, &c->items[i], alone);
		waiting += c->items[i].state == CLAIM_PEER;
	}
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].ask && c->items[i].state == CLAIM_PEER)
			c->items[i].retry_at += (int64_t)waiting * 2;
	free(r.list);
}
