/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/handover.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/moving.h"
#include "reconcile/priv.h"
#include "reconcile/replicate.h"

/*
 * An address, and who had it when it was last seen to be somebody else's. Where that one came into
 * the place of one that died, it may never have taken the address: when several die at once, a node
 * that has missed only some of them gives it to one that others do not. So its word is not
 * waited for then: the segment is asked, where it answers if it has it.
 */
struct former {
	struct addr addr;
	char *owner;
	int64_t sure_at; /* ms */
};

#define UNSURE_MS 2000

struct handover {
	struct reconcile *r;
	struct moves *moves;
	struct replicate *replicate;
	struct claims_moves ops;
	void (*changed)(void *data);
	void *data;
	struct former *formers; /* sorted by addr */
	size_t n_formers;
	uint64_t serial; /* of the compiled that they are of */
	struct moves_counts counts;
	uint64_t told, made; /* connections */
};

/* ---- who had it ---- */

static int former_cmp(const void *a, const void *b)
{
	return addr_cmp(((const struct former *)a)->addr, ((const struct former *)b)->addr);
}

static const struct former *former_find(const struct handover *h, struct addr a)
{
	const struct former key = {.addr = a};

	return h->n_formers ? bsearch(&key, h->formers, h->n_formers, sizeof(key), former_cmp)
			    : NULL;
}

static void formers_free(struct former *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].owner);
	free(list);
}

static int64_t sure_at(const struct handover *h, const struct former *f, const char *owner)
{
	bool succeeds = f && f->owner && owner && strcmp(f->owner, owner) != 0 &&
			membership_silent(h->r->membership, f->owner);

	return succeeds ? clock_ms() + UNSURE_MS : f ? f->sure_at : 0;
}

/* What is ours now keeps who had it before; all else is as the policies say. */
static void formers_update(struct handover *h)
{
	const struct egress_addr *addrs;
	struct former *list;
	size_t n;

	if (h->serial == h->r->compiled_serial)
		return;
	h->serial = h->r->compiled_serial;
	addrs = compiled_addrs(h->r->compiled, &n);
	list = mem_alloc0((n + 1) * sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		const struct former *f = former_find(h, addrs[i].addr);
		const char *owner = addrs[i].local ? (f ? f->owner : NULL) : addrs[i].owner;

		list[i] = (struct former){addrs[i].addr, mem_strdup(owner), sure_at(h, f, owner)};
		/* an edit may come while an address is under way */
		moves_settle(h->moves, addrs[i].addr, addrs[i].local);
	}
	qsort(list, n, sizeof(*list), former_cmp);
	formers_free(h->formers, h->n_formers);
	h->formers = list;
	h->n_formers = n;
}

/* ---- what claims.c asks ---- */

static void on_pass(void *data)
{
	struct handover *h = data;

	formers_update(h);
	replicate_look(h->replicate);
}

static void on_seizing(void *data, struct addr a)
{
	struct handover *h = data;

	replicate_seize(h->replicate, a);
}

static bool node_addr_get(const struct handover *h, const char *name, struct addr *ret)
{
	const struct compiled_node *nodes;
	size_t n;

	nodes = compiled_nodes(h->r->compiled, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(nodes[i].name, name) == 0) {
			*ret = addr_is_zero(nodes[i].v4) ? nodes[i].v6 : nodes[i].v4;
			return !addr_is_zero(*ret);
		}
	return false;
}

static enum move_leaving on_leaving(void *data, const struct egress_addr *a)
{
	struct handover *h = data;
	struct addr to;

	/* whether it lives shows when it is spoken to; meanwhile we serve */
	if (!node_addr_get(h, a->owner, &to))
		return MOVE_GONE;
	return moves_leaving(h->moves, a->addr, to);
}

static enum move_coming on_coming(void *data, const struct egress_addr *a)
{
	struct handover *h = data;
	const struct former *f = former_find(h, a->addr);

	if (f && f->owner && membership_joining(h->r->membership, f->owner))
		return moves_coming_joining(h->moves, a->addr);
	if (f && f->owner && membership_gone(h->r->membership, f->owner)) {
		moves_drop(h->moves, a->addr);
		return MOVE_PROBE;
	}
	return moves_coming(h->moves, a->addr, f && f->owner && clock_ms() >= f->sure_at);
}

static void on_settled(void *data, struct addr a, bool bare)
{
	struct handover *h = data;
	struct former *f = (struct former *)(uintptr_t)former_find(h, a);

	if (bare) {
		moves_let(h->moves, a);
		h->changed(h->data);
		return;
	}
	moves_settle(h->moves, a, true); /* it may have been lost for a moment */
	moves_taken(h->moves, a);
	replicate_own(h->replicate, a);
	if (f) {
		free(f->owner);
		f->owner = NULL;
	}
}

/* ---- what moves.c asks ---- */

static int flows_list(void *data, const struct addr *addrs, size_t n, struct move_flow **ret,
		      size_t *ret_n)
{
	struct handover *h = data;
	struct err e = {0};
	int r = moving_list(h->r->desired->model, addrs, n, ret, ret_n, &e);

	if (r == 0 && moving_divert(h->r->desired->model, *ret, *ret_n, &e) < 0)
		log_warn("connections of own pods not prepared", "error=%s", log_quote(e.msg));
	if (r == 0)
		h->told += *ret_n;
	else
		log_warn("connections not told", "error=%s", log_quote(e.msg));
	return r;
}

static void flows_make(void *data, const struct move_flow *flows, size_t n)
{
	struct handover *h = data;
	struct err e = {0};
	size_t made = 0;

	if (n == 0)
		return;
	remains_made(&h->r->remains, flows[0].seen);
	if (moving_make(h->r->desired->model, flows, n, &made, &e) < 0)
		log_warn("connections not taken over", "error=%s", log_quote(e.msg));
	h->made += made;
	limits_made(h->r, flows, n);
	log_info("connections taken over", "told=%zu made=%zu", n, made);
}

static void flows_forget(void *data, const struct addr *addrs, size_t n)
{
	struct handover *h = data;
	struct err e = {0};
	size_t gone;

	if (moving_forget(h->r->desired->model, addrs, n, &gone, &e) < 0)
		log_warn("connections not forgotten", "addresses=%zu error=%s", n,
			 log_quote(e.msg));
}

static void flows_changed(void *data)
{
	struct handover *h = data;

	h->changed(h->data);
}

static const char *gateway_of(const struct handover *h, struct addr a)
{
	const struct egress_addr *known = compiled_addr_find(h->r->compiled, a);

	return known ? known->gateway : "";
}

/* By name, or by the address that it speaks from. */
static const char *node_of(const struct handover *h, struct addr a)
{
	const struct compiled_node *nodes;
	size_t n;

	nodes = compiled_nodes(h->r->compiled, &n);
	for (size_t i = 0; i < n; i++)
		if (addr_eq(nodes[i].v4, a) || addr_eq(nodes[i].v6, a))
			return nodes[i].name;
	return addr_str(a);
}

static void address_twice(void *data, struct addr a, struct addr from, bool twice)
{
	struct handover *h = data;
	struct rivals *all = &h->r->rivals;
	const struct rivals_moment at = {clock_ms(), wall_ms()};
	const struct rivalry *k;

	if (twice) {
		rivals_begin(all, a, gateway_of(h, a), node_of(h, from), at);
		log_warn("another gateway has the address, too: it lets go", "address=%s node=%s",
			 addr_str(a), node_of(h, from));
		return;
	}
	k = rivals_end(all, a, at);
	if (k)
		log_info("the other gateway has let go of the address",
			 "address=%s node=%s after_ms=%lld", addr_str(a), k->node,
			 (long long)k->took_ms);
	h->changed(h->data); /* to tell of it */
}

static const struct moves_ops moves_ops = {
	flows_list, flows_make, flows_forget, flows_changed, address_twice,
};

int handover_new(const struct handover_in *in, struct handover **ret, struct err *e)
{
	struct handover *h = mem_alloc0(sizeof(*h));
	struct moves_in moves = {
		.loop = in->loop,
		.keys = membership_keys(in->reconcile->membership),
		.port = in->port,
		.peer_port = in->port,
		.ops = &moves_ops,
		.counts = &h->counts,
		.data = h,
	};
	int rc;

	*h = (struct handover){
		.r = in->reconcile,
		.changed = in->changed,
		.data = in->data,
		.ops = {on_pass, on_leaving, on_coming, on_seizing, on_settled, h},
	};
	rc = replicate_new(in->loop, in->reconcile, in->port, &h->replicate, e);
	if (rc == 0) {
		moves.more = replicate_more(h->replicate);
		rc = moves_new(&moves, &h->moves, e);
	}
	if (rc < 0) {
		handover_free(h);
		return rc;
	}
	h->r->claims.moves = &h->ops;
	h->r->handover = h;
	*ret = h;
	return 0;
}

void handover_free(struct handover *h)
{
	if (!h)
		return;
	h->r->claims.moves = NULL;
	h->r->handover = NULL;
	moves_free(h->moves);
	replicate_free(h->replicate);
	formers_free(h->formers, h->n_formers);
	free(h);
}

struct json *handover_status(const struct handover *h)
{
	return replicate_status(h->replicate);
}

void handover_counts(const struct handover *h, struct handover_counts *ret)
{
	*ret = (struct handover_counts){
		.moves = h->counts,
		.refused = channels_refused(replicate_more(h->replicate)->channels),
		.told = h->told,
		.made = h->made,
	};
	replicate_counts(h->replicate, &ret->replica, &ret->restored, &ret->overruns);
}

struct json *handover_channels(const struct handover *h)
{
	const struct channels *all = moves_channels(h->moves);
	struct json *o = json_new_object();

	json_set(o, "port", json_new_int(channels_port(all)));
	json_set(o, "open", json_new_int((int64_t)channels_open(all)));
	json_set(o, "refused", json_new_int((int64_t)channels_refused(all)));
	return o;
}
