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

/* 0 = no address has it. */
static uint32_t id_of(const struct dp_model *m, struct addr a)
{
	for (uint32_t id = SLU_ID_FIRST; id < SLU_ID_MAX; id++)
		if (m->egress[id].state != SLU_ADDR_FREE && same(&m->egress[id].addr, a))
			return id;
	return 0;
}

/* 0 = no other node has it. */
static uint32_t node_of(const struct dp_model *m, struct addr a)
{
	for (uint32_t i = 1; i < SLU_MAX_NODES; i++)
		if (same(&m->nodes[i].v4, a) || same(&m->nodes[i].v6, a))
			return i;
	return 0;
}

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

bool moving_from_flow(const struct dp_model *m, const struct ct_flow *f, struct move_flow *ret)
{
	if (f->ended || f->dnat || !f->timeout || !moving_is_ours(m, f))
		return false;
	*ret = (struct move_flow){
		.src = f->src,
		.dst = f->dst,
		.seen = f->seen,
		.sport = f->sport,
		.dport = f->dport,
		.seen_port = f->seen_port,
		.proto = f->proto,
		.tcp_state = f->tcp_state,
		.tcp_wscale = {f->tcp_wscale[0], f->tcp_wscale[1]},
		.answered = f->answered,
		.assured = f->assured,
		.timeout = f->timeout,
	};
	return node_addr_of(m, f->mark, &ret->node);
}

static bool is_self(const struct dp_model *m, struct addr a)
{
	return same(&m->config.self_v4, a) || same(&m->config.self_v6, a);
}

bool moving_to_flow(const struct dp_model *m, const struct move_flow *f, struct ct_flow *ret)
{
	uint32_t id = id_of(m, f->seen), node = node_of(m, f->node);
	bool own = is_self(m, f->node);

	if (!id || (!node && !own))
		return false;
	*ret = (struct ct_flow){
		.src = f->src,
		.dst = f->dst,
		.seen = f->seen,
		.sport = f->sport,
		.dport = f->dport,
		.seen_port = f->seen_port,
		.proto = f->proto,
		.tcp_state = f->tcp_state,
		.tcp_wscale = {f->tcp_wscale[0], f->tcp_wscale[1]},
		.answered = f->answered,
		.assured = f->assured,
		.timeout = f->timeout,
		.zone = (uint16_t)id,
		.mark = own ? m->config.divert : node << m->config.mark_shift,
	};
	return true;
}

static int compare_addr(const void *a, const void *b)
{
	return addr_cmp(*(const struct addr *)a, *(const struct addr *)b);
}

static int seen_list(const struct addr *addrs, size_t n, struct ct_flow **ret, size_t *ret_n,
		     struct err *e)
{
	__cleanup_free struct addr *sorted = mem_dup(addrs, n * sizeof(*addrs));

	qsort(sorted, n, sizeof(*sorted), compare_addr);
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
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		kept += moving_to_flow(m, &flows[i], &make[kept]);
	return conntrack_make(make, kept, ret_n, e);
}

int moving_divert(const struct dp_model *m, const struct move_flow *flows, size_t n, struct err *e)
{
	__cleanup_free struct ct_flow *make = mem_alloc0((n + 1) * sizeof(*make));
	size_t kept = 0, made;

	for (size_t i = 0; i < n; i++) {
		struct ct_flow *f = &make[kept];

		if (!is_self(m, flows[i].node) || !moving_to_flow(m, &flows[i], f))
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
	size_t n_flows = 0, kept = 0;
	int r = seen_list(addrs, n, &flows, &n_flows, e);

	*ret_n = 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_flows; i++)
		if (flows[i].zone && flows[i].zone == id_of(m, flows[i].seen))
			flows[kept++] = flows[i];
	return conntrack_forget(flows, kept, ret_n, e);
}
