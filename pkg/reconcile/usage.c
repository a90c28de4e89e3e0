/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "kernel/sysctl.h"

#define LOOK_MS	  30000
#define LOOK_COST 200 /* a look may take one in so many of the time */

bool usage_near(uint64_t used, uint64_t limit)
{
	return limit && used * USAGE_WARN_OF >= limit * USAGE_WARN;
}

bool usage_warns(bool *near, uint64_t used, uint64_t limit)
{
	bool before = *near;

	if (usage_near(used, limit))
		*near = true;
	else if (!usage_near(used + (limit + 19) / 20, limit))
		*near = false;
	return *near && !before;
}

static int usage_cmp(const void *a, const void *b)
{
	return addr_cmp(((const struct usage_addr *)a)->addr, ((const struct usage_addr *)b)->addr);
}

static struct usage_addr *find(const struct usage *u, struct addr a)
{
	const struct usage_addr key = {.addr = a};

	return u->n ? bsearch(&key, u->list, u->n, sizeof(key), usage_cmp) : NULL;
}

const struct usage_addr *usage_find(const struct usage *u, struct addr a)
{
	return find(u, a);
}

/* ---- counting ---- */

/* Where a connection goes, as a number: the address it has in front, so that those of one stand
 * together. Two remotes that share one in 2^48 would count as one. */
struct target {
	uint64_t key;
	const struct ct_flow *flow;
};

static int target_cmp(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static uint64_t target_key(size_t index, const struct ct_flow *f)
{
	uint64_t h = hash_bytes(f->dst.b, sizeof(f->dst.b), (uint64_t)f->proto << 16 | f->dport);

	return (uint64_t)index << 48 | h >> 16;
}

static void run_note(struct usage_addr *a, const struct target *first, size_t n)
{
	if (n <= a->ports)
		return;
	a->ports = n;
	a->remote = first->flow->dst;
	a->remote_port = first->flow->dport;
}

void usage_count(struct usage *u, const struct ct_flow *flows, size_t n)
{
	__cleanup_free struct target *targets = mem_alloc0((n + 1) * sizeof(*targets));
	size_t kept = 0, run;

	for (size_t i = 0; i < u->n; i++)
		u->list[i].connections = u->list[i].ports = 0;
	for (size_t i = 0; i < n; i++) {
		struct usage_addr *a = find(u, flows[i].seen);

		if (!a)
			continue;
		a->connections++;
		targets[kept++] = (struct target){target_key((size_t)(a - u->list), &flows[i]),
						  &flows[i]};
	}
	if (kept)
		qsort(targets, kept, sizeof(*targets), target_cmp);
	for (size_t i = 0; i < kept; i += run) {
		for (run = 1; i + run < kept && targets[i + run].key == targets[i].key; run++)
			;
		run_note(&u->list[targets[i].key >> 48], &targets[i], run);
	}
}

/* ---- the kernel's ---- */

static void list_take(struct usage *u, const struct addr *addrs, size_t n)
{
	struct usage_addr *list = mem_alloc0((n + 1) * sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		const struct usage_addr *old = find(u, addrs[i]);

		list[i].addr = addrs[i];
		list[i].warned = old && old->warned;
	}
	free(u->list);
	u->list = list;
	u->n = n;
}

static void table_look(struct usage *u)
{
	int count = 0, max = 0;

	if (sysctl_get("net/netfilter/nf_conntrack_count", &count, NULL) < 0 ||
	    sysctl_get("net/netfilter/nf_conntrack_max", &max, NULL) < 0)
		return;
	u->count = count;
	u->max = max;
	if (usage_warns(&u->warned, (uint64_t)count, (uint64_t)max))
		log_warn("the kernel's table of connections is nearly full", "count=%d max=%d",
			 count, max);
}

static void addrs_warn(struct usage *u)
{
	for (size_t i = 0; i < u->n; i++) {
		struct usage_addr *a = &u->list[i];

		if (usage_warns(&a->warned, a->ports, USAGE_PORTS))
			log_warn("source ports of an address are nearly used up",
				 "address=%s remote=%s port=%u used=%llu of=%d", addr_str(a->addr),
				 addr_str(a->remote), a->remote_port, (unsigned long long)a->ports,
				 USAGE_PORTS);
	}
}

void usage_refresh(struct usage *u, const struct addr *addrs, size_t n, int64_t now)
{
	__cleanup_free struct ct_flow *flows = NULL;
	size_t n_flows = 0;
	struct err e = {0};
	int64_t took;

	if (now < u->next_at)
		return;
	list_take(u, addrs, n);
	table_look(u);
	if (n && conntrack_list_seen(addrs, n, &flows, &n_flows, &e) < 0)
		log_debug("connections not counted", "error=%s", log_quote(e.msg));
	else
		usage_count(u, flows, n_flows);
	addrs_warn(u);
	took = (clock_ms() - now) * LOOK_COST;
	u->next_at = now + (took > LOOK_MS ? took : LOOK_MS);
}

void usage_done(struct usage *u)
{
	free(u->list);
	*u = (struct usage){0};
}
