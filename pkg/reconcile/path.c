/* SPDX-License-Identifier: Apache-2.0 */
/* What fits through the ways that tunnels take. */
#include <linux/if.h>
#include <string.h>

#include "reconcile/priv.h"

#define MAX_PATHS    32	  /* tunnel ends asked for their path's MTU */
#define LOOK_MS	     2000 /* what no event tells: a router's word that less fits */
#define LOOPBACK_MTU 65535

static void path_look(struct reconcile *r, struct addr end, uint32_t *mtu)
{
	struct route_answer a;

	if (addr_is_zero(end) || route_get(r->k.rtnl, end, 0, &a, NULL) < 0 || a.mtu == 0 ||
	    a.mtu >= LOOPBACK_MTU)
		return;
	if (*mtu == 0 || a.mtu < *mtu)
		*mtu = a.mtu;
}

/* Without another node: what the widest way out of this one would carry. */
static uint32_t links_mtu(const struct reconcile *r)
{
	uint32_t mtu = 0;

	for (size_t i = 0; i < r->node->n_ifaces; i++) {
		const struct link_info *l = node_link_name(r->node, r->node->ifaces[i].name);

		if (l && strcmp(l->kind, "bridge") != 0 && !(l->flags & IFF_LOOPBACK) &&
		    l->mtu > mtu && l->mtu < LOOPBACK_MTU)
			mtu = l->mtu;
	}
	return mtu;
}

static uint32_t paths_look(struct reconcile *r)
{
	const struct compiled_node *nodes;
	const struct egress_addr *addrs;
	uint32_t mtu = 0;
	size_t n;

	nodes = compiled_nodes(r->compiled, &n);
	for (size_t i = 0; i < n && i < MAX_PATHS; i++) {
		if (strcmp(nodes[i].name, r->node_name) == 0)
			continue;
		path_look(r, nodes[i].v4, &mtu);
		path_look(r, nodes[i].v6, &mtu);
	}
	addrs = compiled_addrs(r->compiled, &n);
	for (size_t i = 0; i < n && i < MAX_PATHS; i++)
		if (!addrs[i].local && addrs[i].owner)
			path_look(r, addrs[i].endpoint, &mtu);
	return mtu ? mtu : links_mtu(r);
}

/* A question to the kernel for each end: not in each pass, two of which come each second. */
uint32_t path_mtu(struct reconcile *r)
{
	struct path *p = &r->path;
	int64_t now = clock_ms();

	if (!p->asked_at || now - p->asked_at >= LOOK_MS || p->compiled != r->compiled_serial ||
	    p->node != r->node->digest)
		*p = (struct path){paths_look(r), now, r->compiled_serial, r->node->digest};
	return p->mtu;
}

void reconcile_network_changed(struct reconcile *r)
{
	r->path.asked_at = 0;
}
