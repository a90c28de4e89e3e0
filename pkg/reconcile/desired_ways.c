/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that leave by another way than the node's default route: a rule for the address's
 * mark, and a table for each interface and next hop. Where the interface is gone there is no other
 * way: the table's last route says so.
 */
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "reconcile/desired.h"

struct tables {
	struct way list[DP_MAX_WAYS];
	uint32_t n;
};

static bool way_is(const struct way *a, const struct way *b)
{
	return a->ifindex == b->ifindex && addr_eq(a->via, b->via);
}

static void route_put(struct dp_model *m, const struct route *r)
{
	MEM_GROW(m->routes, m->n_routes);
	m->routes[m->n_routes++] = *r;
}

/* The interface's own segments: what is there needs no next hop. */
static void on_link_put(struct dp_model *m, const struct desired_in *in, const struct way *w,
			uint32_t table)
{
	bool v4 = addr_is_v4(w->via);

	for (size_t i = 0; i < in->node->n_addrs; i++) {
		const struct ifaddr *a = &in->node->addrs[i];
		struct route r = {.table = table, .type = ROUTE_UNICAST, .ifindex = w->ifindex};
		bool known = false;

		if (a->ours || a->ifindex != w->ifindex || addr_is_v4(a->addr) != v4 ||
		    addr_is_link_local(a->addr) || a->prefix_len == (v4 ? 32 : 128))
			continue;
		r.dst = cidr_make(a->addr, (uint8_t)(a->prefix_len + (v4 ? 96 : 0)));
		for (size_t k = 0; k < m->n_routes; k++)
			known |= m->routes[k].table == table &&
				 cidr_cmp(m->routes[k].dst, r.dst) == 0;
		if (!known)
			route_put(m, &r);
	}
}

static void table_put(struct dp_model *m, const struct desired_in *in, const struct way *w,
		      uint32_t table)
{
	bool v4 = addr_is_v4(w->via);
	const struct route last = {.table = table,
				   .type = ROUTE_UNREACHABLE,
				   .dst = cidr_all(v4),
				   .metric = DP_METRIC_LAST};
	const struct route out = {.table = table,
				  .type = ROUTE_UNICAST,
				  .dst = cidr_all(v4),
				  .ifindex = w->ifindex,
				  .via = w->via};

	route_put(m, &last);
	on_link_put(m, in, w, table);
	route_put(m, &out);
}

/* 0: there are too many. */
static uint32_t table_of(struct tables *t, struct dp_model *m, const struct desired_in *in,
			 const struct way *w)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (way_is(&t->list[i], w))
			return DP_TABLE_WAY + i;
	if (t->n == DP_MAX_WAYS)
		return 0;
	t->list[t->n] = *w;
	table_put(m, in, w, DP_TABLE_WAY + t->n);
	return DP_TABLE_WAY + t->n++;
}

void desired_ways(struct desired *d, const struct desired_in *in)
{
	struct dp_model *m = d->model;
	const struct egress_addr *addrs;
	struct tables t = {.n = 0};
	size_t n;

	addrs = compiled_addrs(in->compiled, &n);
	for (size_t i = 0; in->ways && i < n; i++) {
		const struct way *w = &in->ways[i];
		uint32_t id = d->addr_ids[i];
		struct fib_rule rule = {
			.family = addr_is_v4(addrs[i].addr) ? AF_INET : AF_INET6,
			.priority = DP_RULE_WAY,
			.mark = id << m->config.mark_shift,
			.mask = m->config.mark_mask,
		};

		if (!w->ifindex || !id || m->egress[id].state != SLU_ADDR_LOCAL)
			continue;
		rule.table = table_of(&t, m, in, w);
		if (!rule.table) {
			log_warn("more ways out than tables for them", "most=%d", DP_MAX_WAYS);
			return;
		}
		MEM_GROW(m->rules, m->n_rules);
		m->rules[m->n_rules++] = rule;
	}
}
