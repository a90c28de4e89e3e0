/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "dataplane/model.h"
#include "reconcile/claims.h"
#include "reconcile/membership_priv.h"

size_t membership_ours(const struct node_state *node, struct addr *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < node->n_addrs; i++) {
		const struct link_info *l = node_link(node, node->addrs[i].ifindex);

		if (node->addrs[i].ours && l && strcmp(l->name, DP_LINK) != 0)
			ret[n++] = node->addrs[i].addr;
	}
	return n;
}

/* ---- what follows ---- */

void membership_view(struct membership *ms, const struct node_state *node, struct node_view *ret)
{
	size_t n = 0;
	bool self_done = false;

	if (!ms || !ms->m)
		return;
	ms->seen_serial = members_serial(ms->m);
	if (ms->n == 0)
		return;
	for (size_t i = 0; i <= ms->n; i++) {
		struct member_view v = {0};

		if (i < ms->n)
			members_get(ms->m, i, &v);
		if (!self_done && (i == ms->n || strcmp(ms->self, v.name) < 0)) {
			ms->tiers[n++] = (struct node_tier){ms->self, members_self_tier(ms->m)};
			self_done = true;
		}
		/* who could not be heard yet is taken to be there */
		if (i < ms->n && (v.heard_at >= 0 || members_settled(ms->m)))
			ms->tiers[n++] = (struct node_tier){v.name, v.tier};
	}
	ret->tiers = ms->tiers;
	ret->n_tiers = n;
	if (members_settled(ms->m))
		return;
	ms->kept = mem_resize(ms->kept, node->n_addrs + 1, sizeof(*ms->kept));
	ret->n_kept = membership_ours(node, ms->kept);
	if (ret->n_kept)
		qsort(ms->kept, ret->n_kept, sizeof(*ms->kept), addr_order);
	ret->kept = ms->kept;
}

uint64_t membership_serial(const struct membership *ms)
{
	return ms && ms->m ? members_serial(ms->m) : 0;
}

bool membership_settled(const struct membership *ms)
{
	return !ms || !ms->m || members_settled(ms->m);
}

bool membership_alone(const struct membership *ms)
{
	return ms && ms->m && members_alone(ms->m);
}

uint64_t membership_returns(const struct membership *ms)
{
	return ms ? ms->returns : 0;
}

const char *membership_mac(const struct membership *ms, const uint8_t mac[6], bool *ret_heard)
{
	struct member_view v;

	for (size_t i = 0; ms && i < ms->n; i++) {
		members_get(ms->m, i, &v);
		for (size_t k = 0; k < v.n_macs; k++)
			if (memcmp(v.macs[k], mac, 6) == 0) {
				*ret_heard = v.heard;
				return v.name;
			}
	}
	return NULL;
}

static bool peer_get(const struct membership *ms, const char *node, struct member_view *ret)
{
	for (size_t i = 0; ms && i < ms->n; i++) {
		members_get(ms->m, i, ret);
		if (strcmp(ret->name, node) == 0)
			return true;
	}
	return false;
}

bool membership_gone(const struct membership *ms, const char *node)
{
	struct member_view v;

	return peer_get(ms, node, &v) && v.tier != RANK_LIVE && !v.drained;
}

bool membership_joining(const struct membership *ms, const char *node)
{
	struct member_view v;

	return peer_get(ms, node, &v) && v.state == HEARTBEAT_JOINING;
}

bool membership_silent(const struct membership *ms, const char *node)
{
	struct member_view v;

	return peer_get(ms, node, &v) && !v.heard && v.heard_at >= 0;
}

int64_t membership_lost(const struct membership *ms, const char *node)
{
	struct member_view v;

	return peer_get(ms, node, &v) && v.tier != RANK_LIVE && !v.drained ? v.heard_at : -1;
}

/* ---- what this node says of itself ---- */

void membership_drain(struct membership *ms, bool drained)
{
	if (ms)
		ms->facts.drained = drained;
}

static void uplink_note(struct membership *ms, uint32_t ifindex)
{
	for (size_t i = 0; i < ms->n_uplinks; i++)
		if (ms->uplinks[i] == ifindex)
			return;
	if (ms->n_uplinks < MAX_UPLINKS)
		ms->uplinks[ms->n_uplinks++] = ifindex;
}

static void uplinks_look(struct membership *ms, const struct node_state *node)
{
	size_t kept = 0;

	ms->facts.blind = false;
	ms->facts.n_macs = 0;
	for (size_t i = 0; i < ms->n_uplinks; i++) {
		const struct link_info *l = node_link(node, ms->uplinks[i]);

		if (!l)
			continue;
		ms->uplinks[kept++] = l->ifindex;
		ms->facts.blind |= !(l->flags & IFF_RUNNING);
		if (l->has_mac && ms->facts.n_macs < HEARTBEAT_MACS)
			memcpy(ms->facts.macs[ms->facts.n_macs++], l->mac, sizeof(l->mac));
	}
	ms->n_uplinks = kept;
}

static struct addr *addrs_sorted(const struct node_state *node)
{
	struct addr *list = mem_alloc0((node->n_addrs + 1) * sizeof(*list));

	for (size_t i = 0; i < node->n_addrs; i++)
		list[i] = node->addrs[i].addr;
	qsort(list, node->n_addrs, sizeof(*list), addr_order);
	return list;
}

/* a is here, and at home at a peer: which one. */
static void taken_note(const struct membership *ms, const struct egress_addr *a, bool *taken)
{
	for (size_t k = 0; k < ms->n; k++)
		if (strcmp(ms->names[k], a->home) == 0)
			taken[k] = true;
}

void membership_holds(struct membership *ms, const struct compiled *c,
		      const struct node_state *node)
{
	const struct egress_addr *addrs;
	__cleanup_free bool *taken = NULL;
	__cleanup_free struct addr *here = NULL; /* of thousands of addresses this node has few */
	uint64_t digest = 0;
	size_t n;

	if (!ms || !ms->m || ms->n == 0)
		return;
	taken = mem_alloc0(ms->n);
	here = addrs_sorted(node);
	addrs = compiled_addrs(c, &n);
	for (size_t i = 0; i < n; i++) {
		const struct link_info *l =
			addrs[i].interface ? node_link_name(node, addrs[i].interface) : NULL;

		/* a sum: spare addresses stand in another order on each node */
		if (addrs[i].home)
			digest += hash_bytes(addrs[i].addr.b, 16, hash_str(addrs[i].home, 0));
		if (!addrs[i].assign || !l)
			continue;
		uplink_note(ms, l->ifindex);
		if (addrs[i].home &&
		    bsearch(&addrs[i].addr, here, node->n_addrs, sizeof(*here), addr_order) &&
		    node_addr(node, l->ifindex, addrs[i].addr))
			taken_note(ms, &addrs[i], taken);
	}
	for (size_t k = 0; k < ms->n; k++)
		members_set_taken(ms->m, ms->names[k], taken[k]);
	ms->facts.config = digest;
	uplinks_look(ms, node);
	membership_run(ms);
}

/* ---- what people are told ---- */

const char *membership_state_text(uint8_t state)
{
	static const char *const texts[] = {
		"Away", "Joining", "Live", "NoCarrier", "Drained",
	};

	return state < sizeof(texts) / sizeof(texts[0]) ? texts[state] : "Away";
}

static void peers_emit(const struct membership *ms, struct json *to)
{
	struct json *list = json_new_array();
	int64_t now = clock_ms();

	for (size_t i = 0; i < ms->n; i++) {
		struct json *o = json_new_object();
		struct member_view v;

		members_get(ms->m, i, &v);
		json_set(o, "node", json_new_string(v.name));
		json_set(o, "state", json_new_string(membership_state_text(v.state)));
		json_set(o, "agrees", json_new_bool(!v.heard || v.agrees));
		json_set(o, "sinceMs", json_new_int(now - v.since));
		json_set(o, "heardMs",
			 v.heard_at < 0 ? json_new_null() : json_new_int(now - v.heard_at));
		json_append(list, o);
	}
	json_set(to, "peers", list);
}

const char *membership_fate_text(enum members_fate fate)
{
	static const char *const texts[MEMBERS_FATES] = {
		[MEMBERS_TAKEN_IN] = "accepted", [MEMBERS_STRANGER] = "strangers",
		[MEMBERS_REPLAYED] = "replayed", [MEMBERS_UNPROVEN] = "unproven",
		[MEMBERS_GARBAGE] = "garbage",	 [MEMBERS_WRONG_KEY] = "wrongKey",
	};

	return fate < MEMBERS_FATES ? texts[fate] : "unknown";
}

void membership_counts(const struct membership *ms, struct membership_counts *ret)
{
	struct member_view v;

	*ret = (struct membership_counts){0};
	if (!ms || !ms->m)
		return;
	ret->sent = ms->sent;
	memcpy(ret->fates, ms->fates, sizeof(ret->fates));
	for (size_t i = 0; i < ms->n; i++) {
		members_get(ms->m, i, &v);
		ret->states[v.state < MEMBERSHIP_STATES ? v.state : 0]++;
	}
}

struct json *membership_status(const struct membership *ms)
{
	struct json *o = json_new_object(), *counts = json_new_object();
	bool on = ms && ms->m && ms->n;

	json_set(o, "heartbeats",
		 json_new_string(!ms ? "off: neither gatewayKeyFile nor gatewayInsecure is set"
				 : ms->too_many ? "off: too many gateways"
				 : ms->err.code ? ms->err.msg
				 : on		? "on"
						: "off: no other gateway"));
	json_set(o, "secure", json_new_bool(ms && ms->in.conf->gateway_key_file));
	if (ms && ms->in.conf->gateway_key_file)
		json_set(o, "keys", membership_keys_status(ms));
	if (on) {
		json_set(o, "state",
			 json_new_string(membership_state_text(members_self_state(ms->m))));
		json_set(o, "settled", json_new_bool(members_settled(ms->m)));
		peers_emit(ms, o);
	}
	for (size_t i = 0; ms && i < MEMBERS_FATES; i++)
		json_set(counts, membership_fate_text(i), json_new_int((int64_t)ms->fates[i]));
	if (ms)
		json_set(counts, "sent", json_new_int((int64_t)ms->sent));
	json_set(o, "packets", counts);
	return o;
}
