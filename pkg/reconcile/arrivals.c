/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that a pass has put on an interface. Linux acknowledges an IPv6 address, NODAD or not,
 * before packets to it are taken in: a worker gives it its route, within a millisecond or, where
 * the processors are busy, some hundred. What comes before that is sent on to the segment. So who
 * announced it at once, and told the gateway that lets go of it, lost packets. It is waited
 * for: a moment in the pass, then by a timer, which leaves the processor to that worker.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/priv.h"

#define MOMENT_MS   2
#define MOMENT_US   100
#define LOOK_MS	    5
#define PATIENCE_MS 2000

static void arrival_drop(struct arrivals *w, struct addr a)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n; i++)
		if (!addr_eq(w->list[i], a))
			w->list[kept++] = w->list[i];
	w->n = kept;
}

static void arrival_put(struct reconcile *r, struct addr a)
{
	struct arrivals *w = &r->arrivals;

	claims_arrives(&r->claims, a);
	arrival_drop(w, a);
	w->since = clock_ms();
	MEM_GROW(w->list, w->n);
	w->list[w->n++] = a;
}

/* The worker goes by the same order, so who waits looks at one of them. */
static void arrivals_look(struct reconcile *r)
{
	struct arrivals *w = &r->arrivals;
	bool patient = clock_ms() - w->since <= PATIENCE_MS;
	size_t n = 0;

	for (; n < w->n && (!patient || ifaddr_taken_in(r->k.rtnl, w->list[n])); n++)
		claims_added(&r->claims, w->list[n]);
	if (n && !patient)
		log_warn("packets to addresses are not taken in", "addresses=%zu first=%s", n,
			 addr_str(w->list[0]));
	w->n -= n;
	memmove(w->list, w->list + n, w->n * sizeof(*w->list));
}

static void steps_note(struct reconcile *r, const struct dp_plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct ifaddr *a = p->steps[i].arg;
		enum dp_op op = p->steps[i].op;

		if (!p->steps[i].done || (op != DP_ADDR_ADD && op != DP_ADDR_DEL) ||
		    a->ifindex == DP_TUNNEL)
			continue;
		if (op == DP_ADDR_DEL)
			arrival_drop(&r->arrivals, a->addr);
		else if (addr_is_v4(a->addr))
			claims_added(&r->claims, a->addr);
		else
			arrival_put(r, a->addr);
	}
	claims_run(&r->claims, clock_ms()); /* others need not wait for these */
}

void arrivals_note(struct reconcile *r, const struct dp_plan *p, bool whole)
{
	int64_t end = clock_ms() + MOMENT_MS;

	steps_note(r, p);
	r->arrivals.whole = false;
	while (arrivals_run(r) && clock_ms() < end)
		usleep(MOMENT_US);
	claims_run(&r->claims, clock_ms());
	r->arrivals.whole = whole;
	if (whole)
		claims_settled(&r->claims);
}

int64_t arrivals_run(struct reconcile *r)
{
	struct arrivals *w = &r->arrivals;
	size_t before = w->n;

	if (w->n)
		arrivals_look(r);
	if (w->n < before && w->whole)
		claims_settled(&r->claims);
	return w->n ? clock_ms() + LOOK_MS : 0;
}
