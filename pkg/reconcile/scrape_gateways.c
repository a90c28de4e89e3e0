/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/handover.h"
#include "reconcile/scrape_priv.h"

static void addresses(const struct reconcile *r, struct metrics_text *t)
{
	size_t counts[ADDRESS_STATES] = {0}, n = 0;
	const struct egress_addr *addrs;

	addrs = r->compiled ? compiled_addrs(r->compiled, &n) : NULL;
	for (size_t i = 0; i < n; i++) {
		const char *state = addrs[i].spare ? NULL : address_state(r, &addrs[i]);

		for (size_t k = 0; k < ADDRESS_STATES; k++)
			counts[k] += state == address_states[k];
	}
	for (size_t k = 0; k < ADDRESS_STATES; k++)
		metrics_put(t, ADDRESSES, counts[k], address_states[k]);
}

static void takeovers(const struct reconcile *r, struct metrics_text *t)
{
	const struct takeover *last = tenures_latest(&r->tenures);

	metrics_put(t, FAILOVERS, r->tenures.failovers);
	metrics_put(t, MOVES, r->tenures.moves);
	metrics_put(t, DUPLICATES, r->rivals.total);
	if (last) {
		metrics_put(t, FAILOVER_GAP, (double)last->gap_ms / 1e3);
		metrics_put(t, FAILOVER_AT, (double)last->at_ms / 1e3);
	}
	metrics_put(t, ANNOUNCEMENTS, r->claims.announcements);
}

static void members(const struct reconcile *r, struct metrics_text *t)
{
	struct membership_counts c;

	if (!r->membership)
		return;
	membership_counts(r->membership, &c);
	for (uint8_t i = 0; i < MEMBERSHIP_STATES; i++)
		metrics_put(t, MEMBERS, c.states[i], membership_state_text(i));
	metrics_put(t, HEARTBEATS_SENT, c.sent);
	for (enum members_fate i = 0; i < MEMBERS_FATES; i++)
		metrics_put(t, HEARTBEATS, c.fates[i], membership_fate_text(i));
}

static void moved(const struct reconcile *r, struct metrics_text *t)
{
	struct handover_counts c;

	if (!r->handover)
		return;
	handover_counts(r->handover, &c);
	metrics_put(t, CHANNELS_REFUSED, c.refused);
	metrics_put(t, LEFT, c.moves.left, "taken");
	metrics_put(t, LEFT, c.moves.left_alone, "alone");
	metrics_put(t, ARRIVED, c.moves.came, "told");
	metrics_put(t, ARRIVED, c.moves.came_alone, "alone");
	metrics_put(t, FLOWS_TOLD, c.told);
	metrics_put(t, FLOWS_MADE, c.made);
	metrics_put(t, REPLICATED, c.replica.told, "told");
	metrics_put(t, REPLICATED, c.replica.waiting, "waiting");
	metrics_put(t, REPLICATED, c.replica.kept, "kept");
	metrics_put(t, RESTORED, c.restored);
	metrics_put(t, REPLICA_NO_ROOM, c.replica.no_room);
	metrics_put(t, REPLICA_OVERRUNS, c.overruns);
}

static void room(const struct reconcile *r, struct metrics_text *t)
{
	const struct usage *u = &r->usage;
	size_t n = u->n < SCRAPE_ADDRESSES ? u->n : SCRAPE_ADDRESSES;

	if (u->max) {
		metrics_put(t, CONNTRACK, u->count);
		metrics_put(t, CONNTRACK_MAX, u->max);
	}
	for (size_t i = 0; i < n; i++)
		metrics_put(t, SNAT_CONNECTIONS, u->list[i].connections, addr_str(u->list[i].addr));
	for (size_t i = 0; i < n; i++)
		metrics_put(t, SNAT_PORTS, u->list[i].ports, addr_str(u->list[i].addr));
	for (size_t i = 0; i < n; i++)
		metrics_put(t, SNAT_LIMIT, USAGE_PORTS, addr_str(u->list[i].addr));
	for (int kind = 0; kind < NFT_LIMIT_KINDS; kind++)
		metrics_put(t, NEAR_LIMIT, shares_near(&r->shares, (enum nft_limit_kind)kind),
			    share_kinds[kind]);
}

void scrape_gateways(const struct reconcile *r, struct metrics_text *t)
{
	addresses(r, t);
	takeovers(r, t);
	members(r, t);
	moved(r, t);
	room(r, t);
}
