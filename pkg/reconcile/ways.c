/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way out an address has: by its interface, where that is not the node's default route's,
 * or where the gateway names a next hop. The next hop is the gateway's, else that of the default
 * route by this interface; where there is neither, the routing table says.
 */
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/sysctl.h"
#include "reconcile/priv.h"

/* Any address that no network has a route of its own for (RFC 5737, RFC 3849). */
static struct addr outside(bool v4)
{
	struct addr a;

	addr_parse(v4 ? "192.0.2.1" : "2001:db8::1", &a);
	return a;
}

static struct way way_by(struct reconcile *r, const struct link_info *l, bool v4)
{
	struct route_answer a;

	if (route_get(r->k.rtnl, outside(v4), 0, &a, NULL) == 0 && a.ifindex == l->ifindex)
		return (struct way){0};
	if (route_get_by(r->k.rtnl, outside(v4), l->ifindex, &a, NULL) < 0 ||
	    a.ifindex != l->ifindex || addr_is_zero(a.gateway))
		return (struct way){0};
	return (struct way){l->ifindex, a.gateway};
}

/* Addresses of one gateway stand together: what the last one's answer was is mostly good. */
struct asked {
	uint32_t ifindex;
	bool v4;
	struct way answer;
};

/* What leaves is still sent out here for a while. */
static const struct link_info *link_of(const struct reconcile *r, const struct egress_addr *a,
				       const struct place *p)
{
	if (p->leaves)
		return node_link(r->node, p->leaves);
	return a->assign && a->interface ? node_link_name(r->node, a->interface) : NULL;
}

const struct way *ways_get(struct reconcile *r, const struct place *places)
{
	struct asked last = {0};
	const struct egress_addr *addrs;
	struct way *ways;
	size_t n;

	addrs = compiled_addrs(r->compiled, &n);
	free(r->ways);
	ways = r->ways = mem_alloc0((n + 1) * sizeof(*ways));
	for (size_t i = 0; i < n; i++) {
		const struct link_info *l = link_of(r, &addrs[i], &places[i]);
		bool v4 = addr_is_v4(addrs[i].addr);

		if (!l || !(l->flags & IFF_UP))
			continue;
		if (!addr_is_zero(addrs[i].next_hop)) {
			ways[i] = (struct way){l->ifindex, addrs[i].next_hop};
			continue;
		}
		if (last.ifindex != l->ifindex || last.v4 != v4)
			last = (struct asked){l->ifindex, v4, way_by(r, l, v4)};
		ways[i] = last.answer;
	}
	return ways;
}

/* Answers come by an interface that the routing table does not lead to: a strict check of their
 * source drops them (conf/all and the interface's own: the higher one holds). */
static bool is_strict(const char *name)
{
	char path[64];
	int all = 0, own = 0;

	snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", name);
	if (sysctl_get("net/ipv4/conf/all/rp_filter", &all, NULL) < 0 ||
	    sysctl_get(path, &own, NULL) < 0)
		return false;
	return (own > all ? own : all) == 1;
}

bool ways_strict(const struct reconcile *r, char *ret_name, size_t size)
{
	const struct dp_model *m = r->desired ? r->desired->model : NULL;

	for (size_t i = 0; m && i < m->n_routes; i++) {
		const struct route *v = &m->routes[i];
		const struct link_info *l;

		if (v->table - DP_TABLE_WAY >= DP_MAX_WAYS || v->type != ROUTE_UNICAST ||
		    !cidr_is_v4(v->dst))
			continue;
		l = node_link(r->node, v->ifindex);
		if (!l || !is_strict(l->name))
			continue;
		snprintf(ret_name, size, "%s", l->name);
		return true;
	}
	return false;
}
