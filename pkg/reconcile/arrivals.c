/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that a pass has put on an interface. Linux acknowledges an IPv6 address, NODAD or not,
 * before packets to it are taken in: a worker gives it its route, within a millisecond or, where
 * the processors are busy, some hundred. What comes before that is sent on to the segment. So who
 * announced it at once, and told the gateway that lets go of it, lost packets. It is waited
 * for, a little while in each pass: other gateways want to hear from us meanwhile.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/priv.h"

#define PIECE_MS    20
#define LOOK_US	    100
#define PATIENCE_MS 2000

static void arrival_drop(struct arrivals *w, struct addr a)
{
	for (size_t i = 0; i < w->n; i++)
		if (addr_eq(w->list[i], a))
			w->list[i--] = w->list[--w->n];
}

static void arrival_put(struct arrivals *w, struct addr a)
{
	arrival_drop(w, a);
	if (!w->n)
		w->since = clock_ms();
	MEM_GROW(w->list, w->n);
	w->list[w->n++] = a;
}

/* Announces those that are taken in. */
static void arrivals_look(struct reconcile *r)
{
	struct arrivals *w = &r->arrivals;

	for (size_t i = w->n; i-- > 0;) {
		if (!ifaddr_taken_in(r->k.rtnl, w->list[i]))
			continue;
		claims_added(&r->claims, w->list[i]);
		w->list[i] = w->list[--w->n];
	}
	claims_run(&r->claims, clock_ms());
}

static void arrivals_give_up(struct reconcile *r)
{
	log_warn("packets to addresses are not taken in", "addresses=%zu first=%s", r->arrivals.n,
		 addr_str(r->arrivals.list[0]));
	for (size_t i = 0; i < r->arrivals.n; i++)
		claims_added(&r->claims, r->arrivals.list[i]);
	r->arrivals.n = 0;
	claims_run(&r->claims, clock_ms());
}

bool arrivals_note(struct reconcile *r, const struct dp_plan *p)
{
	struct arrivals *w = &r->arrivals;
	int64_t end = clock_ms() + PIECE_MS;

	for (size_t i = 0; i < p->n; i++) {
		const struct ifaddr *a = p->steps[i].arg;
		enum dp_op op = p->steps[i].op;

		if (!p->steps[i].done || (op != DP_ADDR_ADD && op != DP_ADDR_DEL) ||
		    a->ifindex == DP_TUNNEL)
			continue;
		if (op == DP_ADDR_DEL)
			arrival_drop(w, a->addr);
		else if (addr_is_v4(a->addr))
			claims_added(&r->claims, a->addr);
		else
			arrival_put(w, a->addr);
	}
	arrivals_look(r);
	while (w->n && clock_ms() < end) {
		usleep(LOOK_US);
		arrivals_look(r);
	}
	if (w->n && clock_ms() - w->since > PATIENCE_MS)
		arrivals_give_up(r);
	return w->n;
}
