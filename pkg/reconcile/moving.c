/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/moving.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

static bool same(const struct slu_addr *a, struct addr b)
{
	return memcmp(a->w, b.b, sizeof(b.b)) == 0;
}

static bool is_zero(const struct slu_addr *a)
{
	static const struct slu_addr zero;

	return memcmp(a, &zero, sizeof(zero)) == 0;
}

/* One that nodes know this node by; zero: it has none. */
static struct slu_addr self_addr(const struct dp_model *m)
{
	return is_zero(&m->config.self_v4) ? m->config.self_v6 : m->config.self_v4;
}

/* ---- numbers of addresses and nodes ---- */

struct numbered {
	struct addr addr;
	uint32_t number;
};

/* Sorted by address: a move asks for two of them for each connection. */
struct lookup {
	struct numbered *ids, *nodes;
	size_t n_ids, n_nodes;
};

static void lookup_done(struct lookup *k)
{
	free(k->ids);
	free(k->nodes);
}

static int numbered_cmp(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int c = addr_cmp(x->addr, y->addr);

	return c ? c : (x->number > y->number) - (x->number < y->number);
}

static void number_put(struct numbered *list, size_t *n, const struct slu_addr *a, uint32_t number)
{
	if (is_zero(a))
		return;
	memcpy(list[*n].addr.b, a->w, sizeof(a->w));
	list[(*n)++].number = number;
}

static struct lookup lookup_of(const struct dp_model *m)
{
	struct lookup k = {.ids = mem_alloc0(SLU_ID_MAX * sizeof(*k.ids)),
			   .nodes = mem_alloc0(2 * SLU_MAX_NODES * sizeof(*k.nodes))};

	for (uint32_t id = SLU_ID_FIRST; id < SLU_ID_MAX; id++)
		if (m->egress[id].state != SLU_ADDR_FREE)
			number_put(k.ids, &k.n_ids, &m->egress[id].addr, id);
	for (uint32_t i = 1; i < SLU_MAX_NODES; i++) {
		number_put(k.nodes, &k.n_nodes, &m->nodes[i].v4, i);
		number_put(k.nodes, &k.n_nodes, &m->nodes[i].v6, i);
	}
	qsort(k.ids, k.n_ids, sizeof(*k.ids), numbered_cmp);
	qsort(k.nodes, k.n_nodes, sizeof(*k.nodes), numbered_cmp);
	return k;
}

/* The lowest one; 0 = it has none. */
static uint32_t number_of(const struct numbered *list, size_t n, struct addr a)
{
	size_t from = 0, to = n;

	while (from < to) {
		size_t at = (from + to) / 2;

		if (addr_cmp(list[at].addr, a) < 0)
			from = at + 1;
		else
			to = at;
	}
	return from < n && addr_eq(list[from].addr, a) ? list[from].number : 0;
}

/* ---- one connection ---- */

static bool node_addr_of(const struct dp_model *m, uint32_t mark, struct addr *ret)
{
	uint32_t node = (mark & m->config.mark_mask & ~m->config.divert) >> m->config.mark_shift;
	struct slu_addr a;

	if (mark & m->config.divert)
		a = self_addr(m);
	else if (node && node < SLU_MAX_NODES)
		a = is_zero(&m->nodes[node].v4) ? m->nodes[node].v6 : m->nodes[node].v4;
	else
		return false;
	memcpy(ret->b, a.w, sizeof(ret->b));
	return !is_zero(&a);
}

bool moving_is_ours(const struct dp_model *m, const struct ct_flow *f)
{
	return f->zone >= SLU_ID_FIRST && f->zone < SLU_ID_MAX &&
	       m->egress[f->zone].state != SLU_ADDR_FREE && same(&m->egress[f->zone].addr, f->seen);
}

/* What a kernel and other gateways call by the same words. */
#define SAID_ALIKE(f)                                                                        \
	.src = (f)->src, .dst = (f)->dst, .seen = (f)->seen, .sport = (f)->sport,            \
	.dport = (f)->dport, .seen_port = (f)->seen_port, .proto = (f)->proto,               \
	.tcp_state = (f)->tcp_state, .tcp_wscale = {(f)->tcp_wscale[0], (f)->tcp_wscale[1]}, \
	.answered = (f)->answered, .assured = (f)->assured, .timeout = (f)->timeout

bool moving_from_flow(const struct dp_model *m, const struct ct_flow *f, struct move_flow *ret)
{
	if (f->ended || f->dnat || !f->timeout || !moving_is_ours(m, f))
		return false;
	*ret = (struct move_flow){
		SAID_ALIKE(f),
	};
	return node_addr_of(m, f->mark, &ret->node);
}

static bool is_self(const struct dp_model *m, struct addr a)
{
	return same(&m->config.self_v4, a) || same(&m->config.self_v6, a);
}

static bool to_flow(const struct dp_model *m, const struct lookup *k, const struct move_flow *f,
		    struct ct_flow *ret)
{
	uint32_t id = number_of(k->ids, k->n_ids, f->seen);
	uint32_t node = number_of(k->nodes, k->n_nodes, f->node);
	bool own = is_self(m, f->node);

	if (!id || (!node && !own))
		return false;
	*ret = (struct ct_flow){
		SAID_ALIKE(f),
		.zone = (uint16_t)id,
		.mark = own ? m->config.divert : node << m->config.mark_shift,
	};
	return true;
}

size_t moving_to_flows(const struct dp_model *m, const struct move_flow *flows, size_t n,
		       struct ct_flow *ret)
{
	__cleanup(lookup_done) struct lookup k = lookup_of(m);
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		kept += to_flow(m, &k, &flows[i], &ret[kept]);
	return kept;
}

/* ---- many ---- */

static int seen_list(const struct addr *addrs, size_t n, struct ct_flow **ret, size_t *ret_n,
		     struct err *e)
{
	__cleanup_free struct addr *sorted = mem_dup(addrs, n * sizeof(*addrs));

	qsort(sorted, n, sizeof(*sorted), addr_order);
	return conntrack_list_seen(sorted, n, ret, ret_n, e);
}

int moving_list(const struct dp_model *m, const struct addr *addrs, size_t n,
		struct move_flow **ret, size_t *ret_n, struct err *e)
{
	__cleanup_free struct ct_flow *flows = NULL;
	struct move_flow *out;
	size_t n_flows = 0, kept = 0;
	int r = seen_list(addrs, n, &flows, &n_flows, e);

	if (r < 0)
		return r;
	out = mem_alloc0((n_flows + 1) * sizeof(*out));
	for (size_t i = 0; i < n_flows; i++)
		kept += moving_from_flow(m, &flows[i], &out[kept]);
	*ret = out;
	*ret_n = kept;
	return 0;
}

int moving_make(const struct dp_model *m, const struct move_flow *flows, size_t n, size_t *ret_n,
		struct err *e)
{
	__cleanup_free struct ct_flow *make = mem_alloc0((n + 1) * sizeof(*make));

	return conntrack_make(make, moving_to_flows(m, flows, n, make), ret_n, e);
}

int moving_divert(const struct dp_model *m, const struct move_flow *flows, size_t n, struct err *e)
{
	__cleanup(lookup_done) struct lookup k = lookup_of(m);
	__cleanup_free struct ct_flow *make = mem_alloc0((n + 1) * sizeof(*make));
	size_t kept = 0, made;

	for (size_t i = 0; i < n; i++) {
		struct ct_flow *f = &make[kept];

		if (!is_self(m, flows[i].node) || !to_flow(m, &k, &flows[i], f))
			continue;
		f->zone = (uint16_t)(f->zone + SLU_ID_MAX);
		f->seen = f->src;
		f->seen_port = f->sport;
		kept++;
	}
	return conntrack_make(make, kept, &made, e);
}

int moving_forget(const struct dp_model *m, const struct addr *addrs, size_t n, size_t *ret_n,
		  struct err *e)
{
	__cleanup_free struct ct_flow *flows = NULL;
	__cleanup(lookup_done) struct lookup k = lookup_of(m);
	size_t n_flows = 0, kept = 0;
	int r = seen_list(addrs, n, &flows, &n_flows, e);

	*ret_n = 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_flows; i++)
		if (flows[i].zone && flows[i].zone == number_of(k.ids, k.n_ids, flows[i].seen))
			flows[kept++] = flows[i];
	return conntrack_forget(flows, kept, ret_n, e);
}
