/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const op_names[DP_OP_COUNT] = {
	[DP_LINK_DEL] = "link-del",
	[DP_LINK_ADD] = "link-add",
	[DP_LINK_SET] = "link-set",
	[DP_LINK_RP_FILTER] = "link-rp-filter",
	[DP_LINK_TO_TUNNEL] = "link-to-tunnel",
	[DP_LINK_FROM_TUNNEL] = "link-from-tunnel",
	[DP_ADDR_ADD] = "addr-add",
	[DP_ADDR_DEL] = "addr-del",
	[DP_NEIGH_SET] = "neigh-set",
	[DP_NEIGH_DEL] = "neigh-del",
	[DP_ROUTE_ADD] = "route-add",
	[DP_ROUTE_DEL] = "route-del",
	[DP_RULE_ADD] = "rule-add",
	[DP_RULE_DEL] = "rule-del",
	[DP_CONFIG] = "config",
	[DP_NODE] = "node",
	[DP_SENDER_SET] = "sender-set",
	[DP_SENDER_DEL] = "sender-del",
	[DP_INSIDE_SET] = "inside-set",
	[DP_INSIDE_DEL] = "inside-del",
	[DP_SERVICE_SET] = "service-set",
	[DP_SERVICE_DEL] = "service-del",
	[DP_NFT_CLOSE] = "nft-close",
	[DP_EPOCH] = "epoch",
	[DP_EGRESS_STATE] = "egress-state",
	[DP_EGRESS_SET] = "egress-set",
	[DP_EGRESS_FREE] = "egress-free",
	[DP_NFT] = "nft",
	[DP_NFT_DEL] = "nft-del",
	[DP_GUARD] = "guard",
	[DP_OWNED_SET] = "owned-set",
	[DP_OWNED_DEL] = "owned-del",
	[DP_PROGRAMS] = "programs",
	[DP_PROGRAMS_RETIRE] = "programs-retire",
	[DP_POD_ATTACH] = "pod-attach",
	[DP_POD_CLOSE] = "pod-close",
	[DP_POD_RELEASE] = "pod-release",
};

const char *dp_op_name(enum dp_op op)
{
	return op < DP_OP_COUNT && op_names[op] ? op_names[op] : "unknown";
}

static void step_add(struct dp_plan *p, enum dp_op op, uint32_t index, const void *arg)
{
	MEM_GROW(p->steps, p->n);
	p->steps[p->n++] = (struct dp_step){.op = op, .index = index, .arg = arg};
}

/* ---- lists ---- */

struct list {
	const void *items;
	size_t n;
};

struct list_kind {
	size_t size;
	int (*cmp)(const void *a, const void *b);
	bool (*same)(const void *want, const void *have); /* NULL: equal keys are equal */
	enum dp_op add, del;
	bool replaces; /* add overwrites; else what differs is deleted first */
};

enum pass { PASS_ADD, PASS_DEL };

static const void *list_at(const struct list *l, size_t i, size_t size)
{
	return i < l->n ? (const char *)l->items + i * size : NULL;
}

static void list_changed(struct dp_plan *p, const struct list_kind *k, const void *want,
			 const void *have)
{
	if (!k->same || k->same(want, have))
		return;
	if (!k->replaces)
		step_add(p, k->del, 0, have);
	step_add(p, k->add, 0, want);
}

/* One walk over both sorted lists, for what must come or for what must go. */
static void list_diff(struct dp_plan *p, const struct list_kind *k, struct list want,
		      struct list have, enum pass pass)
{
	size_t i = 0, j = 0;

	while (i < want.n || j < have.n) {
		const void *w = list_at(&want, i, k->size), *h = list_at(&have, j, k->size);
		int c = !w ? 1 : !h ? -1 : k->cmp(w, h);

		if (c < 0 && pass == PASS_ADD)
			step_add(p, k->add, 0, w);
		else if (c > 0 && pass == PASS_DEL)
			step_add(p, k->del, 0, h);
		else if (c == 0 && pass == PASS_ADD)
			list_changed(p, k, w, h);
		i += c <= 0;
		j += c >= 0;
	}
}

static bool addr_same(const void *want, const void *have)
{
	const struct ifaddr *w = want, *h = have;

	return w->prefix_len == h->prefix_len && !h->dad_failed;
}

static bool neigh_same(const void *want, const void *have)
{
	const struct neigh *w = want, *h = have;

	return h->permanent && memcmp(w->mac, h->mac, sizeof(w->mac)) == 0;
}

static bool route_same(const void *want, const void *have)
{
	const struct route *w = want, *h = have;

	if (w->type != h->type)
		return false;
	return w->type != ROUTE_UNICAST ||
	       (w->ifindex == h->ifindex && addr_eq(w->via, h->via) && w->mtu == h->mtu);
}

static bool inside_same(const void *want, const void *have)
{
	return ((const struct dp_inside *)want)->flags == ((const struct dp_inside *)have)->flags;
}

static bool service_same(const void *want, const void *have)
{
	return memcmp(want, have, sizeof(struct dp_service)) == 0;
}

static bool sender_same(const void *want, const void *have)
{
	return ((const struct dp_sender *)want)->node == ((const struct dp_sender *)have)->node;
}

static bool owned_same(const void *want, const void *have)
{
	return ((const struct dp_owned *)want)->id == ((const struct dp_owned *)have)->id;
}

static bool pod_same(const void *want, const void *have)
{
	const struct dp_pod *w = want, *h = have;

	return h->attached && h->a.names == w->a.names &&
	       memcmp(&w->a.pod, &h->a.pod, sizeof(w->a.pod)) == 0;
}

static const struct list_kind addr_kind = {sizeof(struct ifaddr), dp_ifaddr_cmp, addr_same,
					   DP_ADDR_ADD,		  DP_ADDR_DEL,	 false};
static const struct list_kind neigh_kind = {sizeof(struct neigh), dp_neigh_cmp, neigh_same,
					    DP_NEIGH_SET,	  DP_NEIGH_DEL, true};
static const struct list_kind rule_kind = {
	sizeof(struct fib_rule), dp_rule_cmp, NULL, DP_RULE_ADD, DP_RULE_DEL, false};
static const struct list_kind route_kind = {sizeof(struct route), dp_route_cmp, route_same,
					    DP_ROUTE_ADD,	  DP_ROUTE_DEL, false};
static const struct list_kind inside_kind = {
	sizeof(struct dp_inside), dp_inside_cmp, inside_same, DP_INSIDE_SET, DP_INSIDE_DEL, true};
static const struct list_kind service_kind = {sizeof(struct dp_service),
					      dp_service_cmp,
					      service_same,
					      DP_SERVICE_SET,
					      DP_SERVICE_DEL,
					      true};
static const struct list_kind sender_kind = {
	sizeof(struct dp_sender), dp_sender_cmp, sender_same, DP_SENDER_SET, DP_SENDER_DEL, true};
static const struct list_kind owned_kind = {
	sizeof(struct dp_owned), dp_owned_cmp, owned_same, DP_OWNED_SET, DP_OWNED_DEL, true};
static const struct list_kind pod_kind = {sizeof(struct dp_pod), dp_pod_cmp,   pod_same,
					  DP_POD_ATTACH,	 DP_POD_CLOSE, true};
static const struct list_kind pod_release_kind = {sizeof(struct dp_pod), dp_pod_cmp,	 pod_same,
						  DP_POD_ATTACH,	 DP_POD_RELEASE, true};

#define LIST(m, field) ((struct list){(m)->field, (m)->n_##field})

/* ---- sluice0 ---- */

static bool link_rebuilt(const struct dp_model *d, const struct dp_model *o)
{
	if (!d->link.present || !o->link.present)
		return d->link.present;
	return o->link.wrong || o->link.port != d->link.port;
}

static void plan_link(struct dp_plan *p, const struct dp_model *d, const struct dp_model *o,
		      bool rebuilt)
{
	const struct dp_link *want = &d->link;

	if (o->link.present && (rebuilt || !want->present))
		step_add(p, DP_LINK_DEL, 0, NULL);
	if (!want->present)
		return;
	if (rebuilt)
		step_add(p, DP_LINK_ADD, 0, want);
	/* rp_filter and the programs before the first packet can pass */
	if (rebuilt || o->link.rp_filter != want->rp_filter)
		step_add(p, DP_LINK_RP_FILTER, 0, want);
	if (rebuilt || !o->link.to_tunnel)
		step_add(p, DP_LINK_TO_TUNNEL, 0, NULL);
	if (rebuilt || !o->link.from_tunnel)
		step_add(p, DP_LINK_FROM_TUNNEL, 0, NULL);
	if (rebuilt || !o->link.up || o->link.mtu != want->mtu)
		step_add(p, DP_LINK_SET, 0, want);
}

/* Part of a list sorted by ifindex: sluice0's (ifindex DP_TUNNEL, first), or the others'. */
static struct list addrs_part(const struct dp_model *m, bool tunnel)
{
	size_t n = 0;

	while (n < m->n_addrs && m->addrs[n].ifindex == DP_TUNNEL)
		n++;
	return tunnel ? (struct list){m->addrs, n} : (struct list){m->addrs + n, m->n_addrs - n};
}

/* A deleted device takes with it what stood on it. */
static struct route *routes_without_link(const struct dp_model *o, size_t *ret_n)
{
	struct route *list = mem_alloc0(o->n_routes * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < o->n_routes; i++)
		if (o->routes[i].type != ROUTE_UNICAST || o->routes[i].ifindex != DP_TUNNEL)
			list[n++] = o->routes[i];
	*ret_n = n;
	return list;
}

static void plan_routes(struct dp_plan *p, struct list want, struct list have)
{
	size_t first = p->n, n;

	list_diff(p, &route_kind, want, have, PASS_ADD);
	n = p->n - first;
	/* what stops packets before what sends them on: unreachable and throw come first */
	for (size_t i = 0, front = 0; i < n; i++) {
		struct dp_step s = p->steps[first + i];
		const struct route *r = s.arg;

		if (s.op != DP_ROUTE_ADD || r->type == ROUTE_UNICAST)
			continue;
		memmove(&p->steps[first + front + 1], &p->steps[first + front],
			(i - front) * sizeof(s));
		p->steps[first + front++] = s;
	}
	list_diff(p, &route_kind, want, have, PASS_DEL);
}

static void plan_network(struct dp_plan *p, const struct dp_model *d, const struct dp_model *o)
{
	bool rebuilt = link_rebuilt(d, o), gone = rebuilt || !d->link.present;
	struct list addrs = gone ? (struct list){NULL, 0} : addrs_part(o, true);
	struct list neighs = gone ? (struct list){NULL, 0} : LIST(o, neighs);
	struct list routes = LIST(o, routes);

	if (gone) {
		p->routes_left = routes_without_link(o, &routes.n);
		routes.items = p->routes_left;
	}
	plan_link(p, d, o, rebuilt);
	list_diff(p, &addr_kind, addrs_part(d, true), addrs, PASS_ADD);
	list_diff(p, &addr_kind, addrs_part(d, true), addrs, PASS_DEL);
	list_diff(p, &neigh_kind, LIST(d, neighs), neighs, PASS_ADD);
	list_diff(p, &neigh_kind, LIST(d, neighs), neighs, PASS_DEL);
	plan_routes(p, LIST(d, routes), routes);
	list_diff(p, &rule_kind, LIST(d, rules), LIST(o, rules), PASS_ADD);
	list_diff(p, &rule_kind, LIST(d, rules), LIST(o, rules), PASS_DEL);
}

/* ---- maps that describe the cluster ---- */

static bool translated(const struct nft_service *list, size_t n, const struct nft_service *s)
{
	for (size_t i = 0; i < n; i++)
		if (addr_eq(list[i].addr, s->addr) && addr_eq(list[i].endpoint, s->endpoint) &&
		    list[i].port == s->port && list[i].endpoint_port == s->endpoint_port &&
		    list[i].proto == s->proto)
			return true;
	return false;
}

/* Before anything of it changes: what is not judged as it goes does not go. */
static void plan_close(struct dp_plan *p, const struct dp_model *d, const struct dp_model *o)
{
	__cleanup_free struct nft_service *have = NULL, *want = NULL;
	size_t n_have, n_want;

	have = dp_translations(o->services, o->n_services, &n_have);
	want = dp_translations(d->services, d->n_services, &n_want);
	for (size_t i = 0; i < n_have; i++) {
		if (translated(want, n_want, &have[i]))
			continue;
		MEM_GROW(p->closed, p->n_closed);
		p->closed[p->n_closed++] = have[i];
	}
	if (p->n_closed && o->nft)
		step_add(p, DP_NFT_CLOSE, 0, NULL);
}

static void plan_cluster(struct dp_plan *p, const struct dp_model *d, const struct dp_model *o)
{
	size_t first;

	if (memcmp(&d->config, &o->config, sizeof(d->config)))
		step_add(p, DP_CONFIG, 0, &d->config);
	for (uint32_t i = 1; i < SLU_MAX_NODES; i++)
		if (memcmp(&d->nodes[i], &o->nodes[i], sizeof(d->nodes[i])))
			step_add(p, DP_NODE, i, &d->nodes[i]);
	list_diff(p, &sender_kind, LIST(d, senders), LIST(o, senders), PASS_ADD);
	list_diff(p, &sender_kind, LIST(d, senders), LIST(o, senders), PASS_DEL);
	list_diff(p, &service_kind, LIST(d, services), LIST(o, services), PASS_ADD);
	first = p->n;
	list_diff(p, &inside_kind, LIST(d, inside), LIST(o, inside), PASS_ADD);
	list_diff(p, &inside_kind, LIST(d, inside), LIST(o, inside), PASS_DEL);
	if (p->n > first)
		step_add(p, DP_EPOCH, 0, NULL);
	list_diff(p, &service_kind, LIST(d, services), LIST(o, services), PASS_DEL);
}

/* ---- egress addresses ---- */

static void state_step(struct dp_plan *p, uint32_t id, uint32_t state)
{
	step_add(p, DP_EGRESS_STATE, id, NULL);
	p->steps[p->n - 1].state = state;
}

/* An entry's fixed part: who it is. Free entries are nobody's. */
static bool egress_same_address(const struct slu_egress *a, const struct slu_egress *b)
{
	return a->vni == b->vni && memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0 &&
	       memcmp(&a->endpoint, &b->endpoint, sizeof(a->endpoint)) == 0;
}

static void plan_egress_release(struct dp_plan *p, const struct dp_model *d,
				const struct dp_model *o)
{
	for (uint32_t i = SLU_ID_FIRST; i < SLU_ID_MAX; i++) {
		const struct slu_egress *want = &d->egress[i], *have = &o->egress[i];
		bool same = egress_same_address(want, have);
		uint32_t state = same ? want->state : SLU_ADDR_NO_OWNER;

		if (have->state == SLU_ADDR_FREE || have->state == SLU_ADDR_NO_OWNER)
			continue;
		if (same && want->state == have->state)
			continue;
		if (same && want->state == SLU_ADDR_LOCAL)
			continue; /* a claim: last */
		state_step(p, i, state == SLU_ADDR_FREE ? SLU_ADDR_NO_OWNER : state);
	}
}

static void plan_egress_claim(struct dp_plan *p, const struct dp_model *d, const struct dp_model *o)
{
	for (uint32_t i = SLU_ID_FIRST; i < SLU_ID_MAX; i++) {
		const struct slu_egress *want = &d->egress[i], *have = &o->egress[i];
		uint32_t now = have->state;

		if (want->state == SLU_ADDR_FREE)
			continue;
		if (now == SLU_ADDR_FREE || !egress_same_address(want, have)) {
			step_add(p, DP_EGRESS_SET, i, want); /* with state NO_OWNER */
			now = SLU_ADDR_NO_OWNER;
		}
		if (now == want->state)
			continue;
		if (now == SLU_ADDR_NO_OWNER || want->state == SLU_ADDR_LOCAL)
			state_step(p, i, want->state);
	}
}

static void plan_egress_free(struct dp_plan *p, const struct dp_model *d, const struct dp_model *o)
{
	static const struct slu_egress none;

	for (uint32_t i = 0; i < SLU_ID_MAX; i++)
		if (d->egress[i].state == SLU_ADDR_FREE &&
		    memcmp(&o->egress[i], &none, sizeof(none)) != 0)
			step_add(p, DP_EGRESS_FREE, i, NULL);
}

static void plan_nft(struct dp_plan *p, const struct dp_model *d, const struct dp_model *o)
{
	if (d->nft && o->nft_differs)
		step_add(p, DP_NFT, 0, &d->nft_model);
	else if (!d->nft && o->nft)
		step_add(p, DP_NFT_DEL, 0, NULL);
}

struct dp_plan *dp_plan_new(const struct dp_model *d, const struct dp_model *o,
			    const struct programs_plan *programs)
{
	struct dp_plan *p = mem_alloc0(sizeof(*p));

	p->desired = d;
	p->programs = programs;
	plan_close(p, d, o);
	plan_cluster(p, d, o);
	plan_egress_release(p, d, o);
	if (d->link.present)
		plan_network(p, d, o);
	list_diff(p, &addr_kind, addrs_part(d, false), addrs_part(o, false), PASS_ADD);
	plan_nft(p, d, o);
	list_diff(p, &owned_kind, LIST(d, owned), LIST(o, owned), PASS_ADD);
	plan_egress_claim(p, d, o);
	if (d->nft && o->no_guard)
		step_add(p, DP_GUARD, 0, NULL);
	if (programs && programs_plan_sets(programs))
		step_add(p, DP_PROGRAMS, 0, NULL);
	list_diff(p, &pod_kind, LIST(d, pods), LIST(o, pods), PASS_ADD);
	list_diff(p, d->link.present ? &pod_kind : &pod_release_kind, LIST(d, pods), LIST(o, pods),
		  PASS_DEL);
	if (!d->link.present)
		plan_network(p, d, o); /* removal: after the pods */
	if (programs && programs_plan_retires(programs))
		step_add(p, DP_PROGRAMS_RETIRE, 0, NULL);
	list_diff(p, &owned_kind, LIST(d, owned), LIST(o, owned), PASS_DEL);
	plan_egress_free(p, d, o);
	list_diff(p, &addr_kind, addrs_part(d, false), addrs_part(o, false), PASS_DEL);
	return p;
}

void dp_plan_free(struct dp_plan *p)
{
	if (!p)
		return;
	free(p->steps);
	free(p->closed);
	free(p->routes_left);
	free(p);
}
