/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A via, seen from one policy, is an identity: the addresses its pods may appear
 * as. What cannot be had is not an error but a reason to drop, and not the next
 * via: an identity that was asked for is given or the packet stays.
 *
 * The pick of spread Policy is by rendezvous, so that an address that is added to a
 * gateway takes over its share of the policies and the others keep what they have. Spread
 * Connection is a table of slots, each of which picks in the same way: a connection's slot is its
 * hash (bpf/abi.h), so an address that comes or goes moves its own share of connections alone.
 *
 * An address of either family stands beside the one at its place in the other's list, where both
 * lists are as long: a policy, a pod, a slot then has a pair, not two that have nothing in common.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "bpf/drop_reasons.h"
#include "policy/compiled.h"
#include "policy/hash_index.h"

struct identities {
	const struct gateways *gateways;
	const struct doc_set *set;
	struct identity *list; /* picks are positions in gateways->addrs until identities_emit */
	size_t n;
	struct hash_index index;
	size_t total_picks;
	bool is_short;
};

static void identity_done(struct identity *id)
{
	free(id->gateway);
	free(id->picks[0]);
	free(id->picks[1]);
}

struct identities *identities_new(const struct gateways *g, const struct doc_set *set)
{
	struct identities *ids = mem_alloc0(sizeof(*ids));

	ids->gateways = g;
	ids->set = set;
	MEM_GROW(ids->list, ids->n);
	ids->list[ids->n++] = (struct identity){.gateway = mem_strdup("")};
	hash_index_add(&ids->index, 0);
	return ids;
}

void identities_free(struct identities *ids)
{
	if (!ids)
		return;
	for (size_t i = 0; i < ids->n; i++)
		identity_done(&ids->list[i]);
	free(ids->list);
	hash_index_done(&ids->index);
	free(ids);
}

static bool via_allows(const struct doc_via *via, struct addr a)
{
	for (size_t i = 0; i < via->n_addrs; i++)
		if (addr_eq(via->addrs[i], a))
			return true;
	return via->n_addrs == 0;
}

bool gateway_permits(const struct doc_set *set, const struct doc_gateway *gw,
		     const struct doc_policy *policy)
{
	if (policy->meta.kind == DOC_CLUSTER_EGRESS_POLICY)
		return true;
	return gw->allowed_namespaces.present &&
	       namespace_selected(set, policy->meta.namespace, &gw->allowed_namespaces);
}

static void pick(struct identity *id, size_t family, uint32_t position)
{
	MEM_GROW(id->picks[family], id->n_picks[family]);
	id->picks[family][id->n_picks[family]++] = position;
}

static size_t best_of(const struct gateways *g, const struct identity *id, size_t f, uint64_t seed)
{
	uint64_t best_score = 0;
	size_t best = 0;

	for (size_t i = 0; i < id->n_picks[f]; i++) {
		struct addr a = g->addrs[id->picks[f][i]].addr;
		uint64_t score = hash_bytes(a.b, sizeof(a.b), seed);

		if (i == 0 || score > best_score) {
			best_score = score;
			best = i;
		}
	}
	return best;
}

static void best_pair(const struct gateways *g, const struct identity *id, uint64_t seed,
		      size_t ret[2])
{
	ret[0] = best_of(g, id, 0, seed);
	ret[1] = id->n_picks[0] == id->n_picks[1] ? ret[0] : best_of(g, id, 1, seed);
}

static void pick_best(const struct gateways *g, struct identity *id, uint64_t seed)
{
	size_t best[2];

	best_pair(g, id, seed, best);
	for (size_t f = 0; f < 2; f++)
		if (id->n_picks[f]) {
			id->picks[f][0] = id->picks[f][best[f]];
			id->n_picks[f] = 1;
		}
}

/* Without those that nobody is to carry, as long as there are others. */
static void picks_leave_out(const struct gateways *g, struct identity *id)
{
	for (size_t f = 0; f < 2; f++) {
		size_t kept = 0;

		for (size_t i = 0; i < id->n_picks[f]; i++)
			if (g->addrs[id->picks[f][i]].owner)
				id->picks[f][kept++] = id->picks[f][i];
		if (kept)
			id->n_picks[f] = (uint32_t)kept;
	}
}

#define SLOTS_EACH 16 /* of an address at least, so that shares are about even */
#define SLOTS_MIN  256
#define SLOTS_MAX  4096

static void pick_slots(const struct gateways *g, struct identity *id)
{
	uint32_t n = SLOTS_MIN, *slots[2];
	size_t best[2];

	picks_leave_out(g, id);
	while (n < SLOTS_MAX &&
	       (n < SLOTS_EACH * id->n_picks[0] || n < SLOTS_EACH * id->n_picks[1]))
		n *= 2;
	for (size_t f = 0; f < 2; f++)
		slots[f] = id->n_picks[f] ? mem_alloc0(n * sizeof(*slots[f])) : NULL;
	for (uint32_t i = 0; i < n; i++) {
		best_pair(g, id, i + 1, best);
		for (size_t f = 0; f < 2; f++)
			if (slots[f])
				slots[f][i] = id->picks[f][best[f]];
	}
	for (size_t f = 0; f < 2; f++) {
		free(id->picks[f]);
		id->picks[f] = slots[f];
		id->n_picks[f] = slots[f] ? n : 0;
	}
}

static void pick_all(const struct gateways *g, const struct gateway_slot *slot,
		     const struct doc_via *via, struct identity *id)
{
	for (size_t i = slot->first; i < slot->first + slot->n; i++)
		if (via_allows(via, g->addrs[i].addr))
			pick(id, addr_is_v4(g->addrs[i].addr) ? 0 : 1, (uint32_t)i);
}

static void set_none(struct identity *id, uint8_t reason)
{
	if (id->or_node)
		reason = SLU_OK;
	id->none[0] = id->none[1] = reason;
}

static struct identity identity_make(struct identities *ids, const struct doc_policy *policy,
				     const struct doc_via *via)
{
	const struct gateway_slot *slot = gateways_find(ids->gateways, via->gateway);
	struct identity id = {.gateway = mem_strdup(via->gateway), .or_node = via->or_node};

	if (!slot) {
		set_none(&id, SLU_DROP_NO_GATEWAY);
		return id;
	}
	if (!gateway_permits(ids->set, slot->doc, policy)) {
		set_none(&id, SLU_DROP_NOT_PERMITTED);
		return id;
	}
	set_none(&id, slot->n ? SLU_DROP_FAMILY : SLU_DROP_NO_OWNER);
	id.per_pod = slot->doc->spread == SPREAD_POD;
	id.per_flow = slot->doc->spread == SPREAD_CONNECTION;
	pick_all(ids->gateways, slot, via, &id);
	if (id.per_flow)
		pick_slots(ids->gateways, &id);
	else if (!id.per_pod)
		pick_best(ids->gateways, &id, name_hash(policy->meta.namespace, policy->meta.name));
	return id;
}

static uint64_t how_picked(const struct identity *id)
{
	return (uint64_t)id->per_flow << 2 | (uint64_t)id->per_pod << 1 | id->or_node;
}

static uint64_t picks_hash(const struct identity *id)
{
	uint64_t h = hash_str(id->gateway, how_picked(id));

	h = hash_bytes(id->none, sizeof(id->none), h);
	for (size_t f = 0; f < 2; f++) {
		h = hash_bytes(&id->n_picks[f], sizeof(id->n_picks[f]), h);
		if (id->n_picks[f])
			h = hash_bytes(id->picks[f], id->n_picks[f] * sizeof(*id->picks[f]), h);
	}
	return h;
}

static bool identity_equal(const struct identity *a, const struct identity *b)
{
	for (size_t f = 0; f < 2; f++)
		if (a->n_picks[f] != b->n_picks[f] || a->none[f] != b->none[f] ||
		    (a->n_picks[f] &&
		     memcmp(a->picks[f], b->picks[f], a->n_picks[f] * sizeof(*a->picks[f])) != 0))
			return false;
	return how_picked(a) == how_picked(b) && strcmp(a->gateway, b->gateway) == 0;
}

/* More picks than the kernel's map holds: whoever comes later is dropped, not sent elsewhere. */
static void cap_picks(struct identities *ids, struct identity *id)
{
	size_t n = id->n_picks[0] + id->n_picks[1];

	if (ids->total_picks + n <= SLU_MAX_PICKS) {
		ids->total_picks += n;
		return;
	}
	ids->is_short = true;
	id->n_picks[0] = id->n_picks[1] = 0;
	id->none[0] = id->none[1] = SLU_DROP_NO_ID;
}

bool identity_has_no_room(const struct identity *id)
{
	return !id->n_picks[0] && !id->n_picks[1] && id->none[0] == SLU_DROP_NO_ID;
}

uint32_t identities_get(struct identities *ids, const struct doc_policy *policy,
			const struct doc_via *via)
{
	struct identity id;
	uint64_t hash;
	uint32_t i;

	if (via->kind != VIA_GATEWAY)
		return via->kind == VIA_NODE ? 0 : IDENTITY_NONE;
	id = identity_make(ids, policy, via);
	hash = picks_hash(&id);
	for (i = hash_index_first(&ids->index, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&ids->index, i)) {
		if (!identity_equal(&id, &ids->list[i]))
			continue;
		identity_done(&id);
		return i;
	}
	cap_picks(ids, &id);
	MEM_GROW(ids->list, ids->n);
	ids->list[ids->n++] = id;
	return hash_index_add(&ids->index, hash);
}

bool identities_short(const struct identities *ids)
{
	return ids->is_short;
}

struct identities *identities_like(const struct identities *ids)
{
	return identities_new(ids->gateways, ids->set);
}

size_t identities_count(const struct identities *ids)
{
	return ids->n;
}

void identities_emit(struct identities *ids, struct compiled *c)
{
	size_t n_addrs = ids->gateways->n_addrs;
	__cleanup_free bool *used = mem_alloc0(n_addrs);
	__cleanup_free uint32_t *index = mem_alloc0(n_addrs * sizeof(*index));

	for (size_t i = 0; i < ids->n; i++)
		for (size_t f = 0; f < 2; f++)
			for (size_t j = 0; j < ids->list[i].n_picks[f]; j++)
				used[ids->list[i].picks[f][j]] = true;
	gateways_emit(ids->gateways, used, index, c);
	for (size_t i = 0; i < ids->n; i++)
		for (size_t f = 0; f < 2; f++)
			for (size_t j = 0; j < ids->list[i].n_picks[f]; j++)
				ids->list[i].picks[f][j] = index[ids->list[i].picks[f][j]];
	c->identities = TAKE(ids->list);
	c->n_identities = ids->n;
	ids->n = 0;
}

uint64_t identity_digest(const struct compiled *c, uint32_t identity)
{
	const struct identity *id = &c->identities[identity];
	uint64_t h = hash_str(id->gateway, how_picked(id));

	h = hash_bytes(id->none, sizeof(id->none), h);
	for (size_t f = 0; f < 2; f++) {
		h = hash_bytes(&id->n_picks[f], sizeof(id->n_picks[f]), h);
		for (size_t j = 0; j < id->n_picks[f]; j++) {
			const struct egress_addr *a = &c->addrs[id->picks[f][j]];

			h = hash_bytes(a->addr.b, sizeof(a->addr.b), h);
			h = hash_bytes(a->endpoint.b, sizeof(a->endpoint.b), h);
			h = hash_bytes(&a->vni, sizeof(a->vni), h);
		}
	}
	return h;
}
