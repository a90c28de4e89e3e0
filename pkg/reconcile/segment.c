/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who shows that a segment is seen: the next hop by that interface, without whom nothing that
 * leaves there arrives, and the nodes whose addresses are on it.
 */
#include "kernel/rtnl.h"
#include "reconcile/priv.h"

/* Any address that no network has a route of its own for (RFC 5737, RFC 3849). */
static bool next_hop(struct reconcile *r, uint32_t ifindex, bool v4, struct addr *ret)
{
	struct route_answer a;
	struct addr outside;

	addr_parse(v4 ? "192.0.2.1" : "2001:db8::1", &outside);
	if (route_get(r->k.rtnl, outside, 0, &a, NULL) < 0 || a.ifindex != ifindex ||
	    addr_is_zero(a.gateway))
		return false;
	*ret = a.gateway;
	return true;
}

static bool is_on_link(const struct reconcile *r, uint32_t ifindex, struct addr a)
{
	for (size_t i = 0; i < r->node->n_addrs; i++) {
		const struct ifaddr *own = &r->node->addrs[i];
		struct cidr net = cidr_make(
			own->addr, (uint8_t)(own->prefix_len + (addr_is_v4(own->addr) ? 96 : 0)));

		if (own->ifindex == ifindex && !own->ours && cidr_contains_addr(net, a) &&
		    !addr_eq(own->addr, a))
			return true;
	}
	return false;
}

static size_t witnesses(void *data, uint32_t ifindex, bool v4, struct addr ret[CLAIMS_WITNESSES],
			bool *ret_must)
{
	struct reconcile *r = data;
	const struct compiled_node *nodes;
	size_t n_nodes, n = 0;

	*ret_must = next_hop(r, ifindex, v4, &ret[0]);
	n += *ret_must;
	nodes = compiled_nodes(r->compiled, &n_nodes);
	for (size_t i = 0; i < n_nodes && n < CLAIMS_WITNESSES; i++) {
		struct addr a = v4 ? nodes[i].v4 : nodes[i].v6;

		if (!addr_is_zero(a) && is_on_link(r, ifindex, a))
			ret[n++] = a;
	}
	return n;
}

void reconcile_join(struct reconcile *r, struct membership *ms)
{
	membership_drain(ms, r->drained);
	r->membership = ms;
	r->claims.membership = ms;
	r->claims.segment = (struct claims_segment){witnesses, r};
}

void reconcile_told(struct reconcile *r)
{
	membership_drain(r->membership, r->drained);
	if (r->compiled && r->node)
		membership_holds(r->membership, r->compiled, r->node);
}

int reconcile_unasked(const struct reconcile *r, struct err *e)
{
	const struct claim *k = claims_failed(&r->claims);

	if (!k)
		return 0;
	return err_set(e, -EIO, "address %s is not claimed: %s", addr_str(k->addr), k->problem);
}

int64_t reconcile_retry(const struct reconcile *r, int64_t most)
{
	int64_t at = claims_retry_at(&r->claims), now = clock_ms();

	if (!at || at - now > most)
		return most;
	return at > now ? at - now : 0;
}
