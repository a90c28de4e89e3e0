/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways → addresses with owners. Every node computes the same owner from the
 * same objects and the same view of who lives, without asking anybody. What only the owner can know
 * is whether it has an interface for the address: there, and only there, the address gets a
 * problem, and nobody answers for it — dropped, never sent as something else.
 *
 * addressFrom has no addresses of its own: a selected node uses its own, and the
 * pods of the others go to the node that ranks first for the gateway's name. The
 * tunnel then ends at that node's address, so the VNI tells which gateway is meant
 * (and which family, as one end may serve both).
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "bpf/drop_reasons.h"
#include "policy/candidates.h"
#include "policy/compiled.h"
#include "policy/rank.h"

static const struct node_iface *iface_find(const struct node_view *node, const char *name)
{
	for (size_t i = 0; i < node->n_ifaces; i++)
		if (strcmp(node->ifaces[i].name, name) == 0)
			return &node->ifaces[i];
	return NULL;
}

/* How well an interface fits: the longest on-link prefix that holds addr; 0 = not at all. */
static int iface_fit(const struct node_iface *iface, struct addr addr)
{
	int best = 0;

	for (size_t i = 0; i < iface->n_addrs; i++) {
		struct cidr on_link = cidr_make(iface->addrs[i].addr, iface->addrs[i].len);

		if (cidr_contains_addr(on_link, addr) && on_link.len > best)
			best = on_link.len;
	}
	return best;
}

static bool iface_has(const struct node_iface *iface, struct addr addr)
{
	for (size_t i = 0; i < iface->n_addrs; i++)
		if (addr_eq(iface->addrs[i].addr, addr))
			return true;
	return false;
}

/* An interface that was named is used or nothing is: an address never lands on another one. */
static const struct node_iface *iface_for(const struct node_view *node,
					  const struct doc_gateway *gw, struct addr addr)
{
	const struct node_iface *best = NULL;
	int best_fit = 0;

	if (gw->interface)
		return iface_find(node, gw->interface);
	for (size_t i = 0; i < node->n_ifaces; i++) {
		int fit = iface_fit(&node->ifaces[i], addr);

		if (fit > best_fit) {
			best_fit = fit;
			best = &node->ifaces[i];
		}
	}
	return best;
}

/* This node ranks first: does the address have a place here? */
static void place_here(struct gateway_addr *a, const struct node_view *node)
{
	const struct node_iface *iface = iface_for(node, a->gateway, a->addr);

	if (!iface) {
		a->problem = SLU_DROP_NO_OWNER;
		return;
	}
	a->local = true;
	a->interface = iface->name;
	a->assign = true;
	for (size_t i = 0; i < node->n_ifaces; i++)
		if (iface_has(&node->ifaces[i], a->addr))
			a->assign = false; /* the node's own: not ours to add, remove or guard */
}

static struct gateway_addr *append_addr(struct gateways *g, const struct doc_gateway *gw)
{
	MEM_GROW(g->addrs, g->n_addrs);
	g->addrs[g->n_addrs] = (struct gateway_addr){.gateway = gw, .vni = VNI_ADDRESS};
	return &g->addrs[g->n_addrs++];
}

static bool is_kept(const struct node_view *node, struct addr a)
{
	return node->n_kept &&
	       bsearch(&a, node->kept, node->n_kept, sizeof(*node->kept), addr_order);
}

/* Who is next, for what this node has: as all others would decide if it were silent. */
static void next_fill(const struct rank_in *in, const char *self, struct gateway_addr *list)
{
	struct rank_in without = *in;
	__cleanup_free uint8_t *tiers = mem_dup(in->tiers, in->n_nodes);
	__cleanup_free uint32_t *home = mem_alloc0(in->n_addrs * sizeof(*home));
	__cleanup_free uint32_t *owner = mem_alloc0(in->n_addrs * sizeof(*owner));

	for (size_t i = 0; i < in->n_nodes; i++)
		if (strcmp(in->names[i], self) == 0)
			tiers[i] = RANK_AWAY;
	without.tiers = tiers;
	rank_assign(&without, home, owner);
	for (size_t i = 0; i < in->n_addrs; i++)
		if (list[i].assign && owner[i] != RANK_NONE)
			list[i].next = in->names[owner[i]];
}

struct holders {
	const struct node_view *view;
	const struct candidates *cand;
	const struct addr *addrs;
};

static bool is_holder(void *data, size_t addr, size_t node)
{
	const struct holders *h = data;
	const struct node_holding *list = h->view->holdings;
	size_t from = 0, to = h->view->n_holdings;

	while (from < to) {
		size_t at = (from + to) / 2;

		if (addr_cmp(list[at].addr, h->addrs[addr]) < 0)
			from = at + 1;
		else
			to = at;
	}
	for (; from < h->view->n_holdings && addr_eq(list[from].addr, h->addrs[addr]); from++)
		if (strcmp(list[from].node, h->cand->names[node]) == 0)
			return true;
	return false;
}

static void owners_fill(const struct compiled *c, const struct node_view *node,
			const struct candidates *cand, struct gateway_addr *list, size_t n)
{
	const struct doc_gateway *gw = list->gateway;
	__cleanup_free struct addr *addrs = mem_alloc0(n * sizeof(*addrs));
	__cleanup(classes_done) struct classes classes = classes_get(c, gw, cand, n);
	__cleanup_free uint32_t *home = mem_alloc0(n * sizeof(*home));
	__cleanup_free uint32_t *owner = mem_alloc0(n * sizeof(*owner));
	struct holders holders = {node, cand, addrs};
	struct rank_in in = {
		.addrs = addrs,
		.classes = classes.of,
		.n_addrs = n,
		.names = cand->names,
		.tiers = cand->tiers,
		.n_nodes = cand->n,
		.eligible = classes.eligible,
		.most = gw->node_capacity,
		.has = node->holdings ? is_holder : NULL,
		.data = &holders,
	};

	for (size_t i = 0; i < n; i++)
		addrs[i] = list[i].addr;
	in.n_classes = classes.n;
	in.prefers = classes.any_prefers ? classes.prefers : NULL;
	rank_assign(&in, home, owner);
	for (size_t i = 0; i < n; i++) {
		list[i].home = home[i] == RANK_NONE ? NULL : cand->names[home[i]];
		if (owner[i] == RANK_NONE)
			list[i].problem = SLU_DROP_NO_OWNER;
		else
			list[i].owner = cand->names[owner[i]];
		if (cand->self && owner[i] != RANK_NONE && is_kept(node, list[i].addr))
			list[i].owner = c->nodes[c->self].name;
		if (list[i].owner && strcmp(list[i].owner, c->nodes[c->self].name) == 0)
			place_here(&list[i], node);
	}
	if (cand->self && gw->failover.replicate)
		next_fill(&in, c->nodes[c->self].name, list);
}

static void ranges_compile(struct gateways *g, const struct compiled *c,
			   const struct node_view *node, const struct doc_gateway *gw)
{
	__cleanup(candidates_done) struct candidates cand = candidates_get(c, node, gw);
	size_t first = g->n_addrs;

	for (size_t k = 0; k < gw->n_ranges; k++) {
		struct addr_range range = gw->ranges[k].range;
		uint64_t n = addr_range_count(range);

		for (uint64_t i = 0; i < n && i < DOC_MAX_GATEWAY_ADDRS; i++) {
			struct gateway_addr *a = append_addr(g, gw);

			a->addr = a->endpoint = addr_range_at(range, i);
		}
	}
	if (g->n_addrs > first) /* one that lost all its ranges to older ones has none */
		owners_fill(c, node, &cand, &g->addrs[first], g->n_addrs - first);
}

/* ---- addressFrom ---- */

static uint32_t vni_of(const char *name, bool v4)
{
	for (uint64_t seed = v4 ? 4 : 6;; seed += 16) {
		uint32_t vni = hash_str(name, seed) & 0xffffff;

		if (vni != 0 && vni != VNI_ADDRESS)
			return vni;
	}
}

static bool vni_taken(const struct gateways *g, const struct doc_gateway *gw, uint32_t vni)
{
	for (size_t i = 0; i < g->n_slots && g->slots[i].doc != gw; i++) {
		const struct doc_gateway *other = g->slots[i].doc;

		if (other->address_from && (vni_of(other->meta.name, true) == vni ||
					    vni_of(other->meta.name, false) == vni))
			return true;
	}
	return false;
}

static struct addr first_addr(const struct node_iface *iface, bool v4)
{
	for (size_t i = 0; iface && i < iface->n_addrs; i++)
		if (addr_is_v4(iface->addrs[i].addr) == v4 &&
		    !addr_is_link_local(iface->addrs[i].addr))
			return iface->addrs[i].addr;
	return (struct addr){};
}

/* The node's address of the family, or of the other one: the tunnel carries both in either. */
static struct addr tunnel_end(const struct compiled_node *node, bool v4)
{
	struct addr wanted = v4 ? node->v4 : node->v6;

	if (!addr_is_zero(wanted))
		return wanted;
	return v4 ? node->v6 : node->v4;
}

static void address_from_family(struct gateways *g, const struct compiled *c,
				const struct node_iface *iface, const struct doc_gateway *gw,
				struct gateway_addr like)
{
	bool v4 = addr_is_v4(like.addr);
	struct gateway_addr *a = append_addr(g, gw);

	*a = like;
	a->gateway = gw;
	a->vni = vni_of(gw->meta.name, v4);
	if (a->local) {
		a->interface = iface->name;
		a->endpoint = tunnel_end(&c->nodes[c->self], v4);
	}
	if (vni_taken(g, gw, a->vni)) {
		a->problem = SLU_DROP_NO_OWNER;
		a->local = false;
		a->interface = NULL;
	}
}

static void address_from_compile(struct gateways *g, const struct compiled *c,
				 const struct node_view *node, const struct doc_gateway *gw)
{
	__cleanup(candidates_done) struct candidates cand = candidates_get(c, node, gw);
	const struct node_iface *iface = iface_find(node, gw->address_from);
	struct addr place = {};
	long owner;

	/* what is ranked is the gateway itself, in the same bytes on every node */
	memcpy(place.b, &(uint64_t){htole64(hash_str(gw->meta.name, 0))}, sizeof(uint64_t));
	owner = rank_owner(place, cand.names, cand.n);
	for (int v4 = 1; v4 >= 0 && owner >= 0; v4--) {
		const struct compiled_node *end = &c->nodes[cand.nodes[owner]];
		struct addr there = v4 ? end->v4 : end->v6;
		struct gateway_addr like = {
			.addr = cand.self ? first_addr(iface, v4) : there,
			.endpoint = there,
			.owner = cand.self ? c->nodes[c->self].name : end->name,
			.local = cand.self,
		};

		if (!addr_is_zero(like.addr))
			address_from_family(g, c, iface, gw, like);
	}
}

void gateways_init(struct gateways *g, const struct compiled *c, const struct node_view *node)
{
	*g = (struct gateways){.slots = mem_alloc0(c->set->n_gateways * sizeof(*g->slots))};
	for (size_t i = 0; i < c->set->n_gateways; i++) {
		const struct doc_gateway *gw = &c->set->gateways[i];
		struct gateway_slot *slot = &g->slots[g->n_slots];

		*slot = (struct gateway_slot){.doc = gw, .first = g->n_addrs};
		g->n_slots++;
		if (gw->address_from)
			address_from_compile(g, c, node, gw);
		else
			ranges_compile(g, c, node, gw);
		slot->n = g->n_addrs - slot->first;
	}
}

void gateways_done(struct gateways *g)
{
	free(g->slots);
	free(g->addrs);
	*g = (struct gateways){};
}

static int compare_slot(const void *key, const void *slot)
{
	return strcmp(key, ((const struct gateway_slot *)slot)->doc->meta.name);
}

const struct gateway_slot *gateways_find(const struct gateways *g, const char *name)
{
	return bsearch(name, g->slots, g->n_slots, sizeof(*g->slots), compare_slot);
}

static struct addr next_hop_of(const struct gateway_addr *a)
{
	struct addr hop = a->gateway->next_hop;

	return addr_is_v4(hop) == addr_is_v4(a->addr) ? hop : (struct addr){};
}

static void addr_emit_to(struct compiled *c, const struct gateway_addr *a, bool spare)
{
	c->addrs[c->n_addrs++] = (struct egress_addr){
		.addr = a->addr,
		.gateway = mem_strdup(a->gateway->meta.name),
		.owner = mem_strdup(a->owner),
		.home = mem_strdup(a->home),
		.next = mem_strdup(a->next),
		.local = a->local,
		.assign = a->assign,
		.interface = mem_strdup(a->interface),
		.next_hop = next_hop_of(a),
		.announce = a->local && a->gateway->announce == ANNOUNCE_ARP && a->assign,
		.spare = spare,
		.endpoint = a->endpoint,
		.vni = a->vni,
		.limits = a->gateway->limits,
		.problem = a->problem,
	};
}

void gateways_emit(const struct gateways *g, const bool *used, uint32_t *ret_index,
		   struct compiled *c)
{
	c->addrs = mem_alloc0(g->n_addrs * sizeof(*c->addrs));
	for (int spare = 0; spare < 2; spare++)
		for (size_t i = 0; i < g->n_addrs; i++) {
			const struct gateway_addr *a = &g->addrs[i];
			bool own = a->owner && strcmp(a->owner, c->self_name) == 0;

			if ((used[i] || own) == spare)
				continue;
			ret_index[i] = (uint32_t)c->n_addrs;
			addr_emit_to(c, a, spare);
		}
}
