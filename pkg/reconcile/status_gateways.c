/* SPDX-License-Identifier: Apache-2.0 */
/* What a pass leaves to be told of gateways: since when, from whom, how much room. */
#include <stdlib.h>

#include "base/mem.h"
#include "reconcile/handover.h"
#include "reconcile/priv.h"

static bool carried(void *data, const struct egress_addr *a, int64_t *ret_answered)
{
	const struct reconcile *r = data;
	const struct claim *k = a->assign ? claims_find(&r->claims, a->addr) : NULL;

	*ret_answered = k && k->answered_at ? k->answered_at : -1;
	return !a->problem && (!a->assign || (k && k->state == CLAIM_HELD && !k->bare));
}

static int64_t lost(void *data, const char *node)
{
	return membership_lost(((const struct reconcile *)data)->membership, node);
}

static void usage_note(struct reconcile *r, const struct egress_addr *addrs, size_t n, int64_t now)
{
	__cleanup_free struct addr *list = NULL;
	size_t kept = 0;

	if (now < r->usage.next_at)
		return;
	list = mem_alloc0((n + 1) * sizeof(*list));
	for (size_t i = 0; i < n; i++)
		if (addrs[i].local && !addrs[i].problem)
			list[kept++] = addrs[i].addr;
	qsort(list, kept, sizeof(*list), addr_order);
	usage_refresh(&r->usage, list, kept, now);
}

void gateways_note(struct reconcile *r)
{
	struct tenures_in in = {
		.serial = r->compiled_serial,
		.now = clock_ms(),
		.wall_ms = wall_ms(),
		.carried = carried,
		.lost = lost,
		.data = r,
	};

	in.addrs = compiled_addrs(r->compiled, &in.n);
	tenures_update(&r->tenures, &in);
	usage_note(r, in.addrs, in.n, in.now);
	shares_note(r);
}

void gateways_forget(struct reconcile *r)
{
	tenures_done(&r->tenures);
	rivals_done(&r->rivals);
	holdings_done(&r->holdings);
	usage_done(&r->usage);
	shares_done(&r->shares);
	free(r->ways);
}

/* ---- as JSON ---- */

static void moment_set(struct json *o, const char *key, int64_t ms)
{
	char text[32];

	moment_text(ms, text);
	json_set(o, key, json_new_string(text));
}

void address_tenure_emit(const struct reconcile *r, const struct egress_addr *a, struct json *to)
{
	const struct tenure *k = tenures_find(&r->tenures, a->addr);
	const struct usage_addr *u = a->local ? usage_find(&r->usage, a->addr) : NULL;

	if (k && k->owner) {
		moment_set(to, "since", k->since_ms);
		json_set(to, "by", json_new_string(tenure_by_text(k->by)));
		if (k->from)
			json_set(to, "from", json_new_string(k->from));
	}
	if (!u)
		return;
	json_set(to, "connections", json_new_int((int64_t)u->connections));
	json_set(to, "portsUsed", json_new_int((int64_t)u->ports));
	json_set(to, "portsLimit", json_new_int(USAGE_PORTS));
}

static struct json *takeover_emit(const struct takeover *t, const char *node)
{
	struct json *o = json_new_object();

	moment_set(o, "at", t->at_ms);
	json_set(o, "gateway", json_new_string(t->gateway));
	json_set(o, "address", json_new_string(addr_str(t->addr)));
	json_set(o, "addresses", json_new_int((int64_t)t->n));
	json_set(o, "from", json_new_string(t->from));
	json_set(o, "to", json_new_string(node));
	json_set(o, "gapMs", json_new_int(t->gap_ms));
	return o;
}

/* When this node and another one last had the same addresses. */
static struct json *rivalry_emit(const struct rivalry *k)
{
	struct json *o = json_new_object();

	moment_set(o, "at", k->at_ms);
	json_set(o, "gateway", json_new_string(k->gateway));
	json_set(o, "address", json_new_string(addr_str(k->addr)));
	json_set(o, "addresses", json_new_int((int64_t)k->n));
	json_set(o, "node", json_new_string(k->node));
	json_set(o, "open", json_new_int((int64_t)k->open));
	json_set(o, "settledMs", k->open ? json_new_null() : json_new_int(k->took_ms));
	return o;
}

static struct json *planned_emit(const struct handover *h)
{
	struct json *o = json_new_object();
	struct handover_counts c;

	handover_counts(h, &c);
	json_set(o, "left", json_new_int((int64_t)c.moves.left));
	json_set(o, "leftAlone", json_new_int((int64_t)c.moves.left_alone));
	json_set(o, "came", json_new_int((int64_t)c.moves.came));
	json_set(o, "cameAlone", json_new_int((int64_t)c.moves.came_alone));
	json_set(o, "told", json_new_int((int64_t)c.told));
	json_set(o, "made", json_new_int((int64_t)c.made));
	json_set(o, "channelsRefused", json_new_int((int64_t)c.refused));
	return o;
}

struct json *gateways_status(const struct reconcile *r)
{
	const struct takeover *last = tenures_latest(&r->tenures);
	const struct rivalry *twice = rivals_latest(&r->rivals);
	struct json *o = membership_status(r->membership), *table = json_new_object();

	json_set(o, "drained", json_new_bool(r->drained));
	json_set(o, "failovers", json_new_int((int64_t)r->tenures.failovers));
	json_set(o, "moves", json_new_int((int64_t)r->tenures.moves));
	json_set(o, "announcements", json_new_int((int64_t)r->claims.announcements));
	json_set(o, "lastFailover", last ? takeover_emit(last, r->node_name) : json_new_null());
	json_set(o, "duplicates", json_new_int((int64_t)r->rivals.total));
	json_set(o, "lastDuplicate", twice ? rivalry_emit(twice) : json_new_null());
	json_set(table, "count", json_new_int(r->usage.count));
	json_set(table, "max", json_new_int(r->usage.max));
	json_set(o, "conntrack", table);
	json_set(o, "planned", r->handover ? planned_emit(r->handover) : json_new_null());
	json_set(o, "channels", r->handover ? handover_channels(r->handover) : json_new_null());
	json_set(o, "replication", r->handover ? handover_status(r->handover) : json_new_null());
	return o;
}
