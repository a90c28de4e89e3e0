/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/desired.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define OVERHEAD_V4 50 /* IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14 */
#define OVERHEAD_V6 70
#define MTU_MIN	    1280 /* below it the device has no IPv6 */
#define IDS_RESERVE 64	 /* address ids that spare addresses leave free */

static const uint8_t device_mac[6] = SLU_MAC_DEVICE;
static const uint8_t sender_mac[6] = SLU_MAC_SENDER;

static struct addr addr_of(const char *text)
{
	struct addr a = {0};

	addr_parse(text, &a);
	return a;
}

/* sluice0 within itself: who we are, and whom everything is sent to. */
static struct addr own_addr(bool v4)
{
	return addr_of(v4 ? "169.254.83.1" : "fe80::53:1");
}

static struct addr peer_addr(bool v4)
{
	return addr_of(v4 ? "169.254.83.2" : "fe80::53:2");
}

static void config_fill(const struct compiled *c, const char *node_name, struct slu_config *ret)
{
	const struct doc_config *conf = compiled_config(c);
	const struct compiled_node *nodes;
	size_t n;

	*ret = (struct slu_config){0};
	ret->mark_mask = conf && conf->mark_mask ? conf->mark_mask : SLU_MARK_MASK_DEFAULT;
	ret->mark_shift = (uint32_t)__builtin_ctz(ret->mark_mask);
	ret->divert = 1u << (31 - __builtin_clz(ret->mark_mask));
	ret->tunnel_port = conf && conf->tunnel_port ? conf->tunnel_port : SLU_TUNNEL_PORT_DEFAULT;
	ret->audit = conf && conf->audit;
	ret->dns_min_ttl = conf ? conf->min_ttl : DOC_MIN_TTL;
	ret->dns_grace = conf ? conf->grace : DOC_GRACE;
	memcpy(ret->mac_sender, sender_mac, sizeof(ret->mac_sender));
	nodes = compiled_nodes(c, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(nodes[i].name, node_name) == 0) {
			ret->self_v4 = slu_addr_make(nodes[i].v4);
			ret->self_v6 = slu_addr_make(nodes[i].v6);
		}
}

/* ---- network objects ---- */

static void route_put(struct dp_model *m, const struct route *r)
{
	MEM_GROW(m->routes, m->n_routes);
	m->routes[m->n_routes++] = *r;
}

static void tables_build(struct dp_model *m, const struct desired_in *in, bool v4, uint32_t mtu)
{
	struct route by_tunnel = {
		.type = ROUTE_UNICAST,
		.ifindex = DP_TUNNEL,
		.via = peer_addr(v4),
		.mtu = mtu,
	};
	struct route r = {.table = DP_TABLE_DIVERT, .type = ROUTE_UNREACHABLE};
	const struct cidr *list = m->nft_inside;
	__cleanup_free struct cidr *cluster = NULL;
	size_t n = m->nft_model.n_inside;

	r.dst = cidr_all(v4);
	r.metric = DP_METRIC_LAST;
	route_put(m, &r);
	r = (struct route){.table = DP_TABLE_DIVERT, .type = ROUTE_THROW};
	for (size_t i = 0; i < n; i++) {
		r.dst = list[i];
		if (cidr_is_v4(list[i]) == v4)
			route_put(m, &r);
	}
	r = by_tunnel;
	r.table = DP_TABLE_DIVERT;
	r.dst = cidr_all(v4);
	route_put(m, &r);
	list = compiled_cluster_cidrs(in->compiled, &n);
	list = cluster = desired_cidrs_merge(list, n, &n);
	for (size_t i = 0; i < n; i++) {
		r = by_tunnel;
		r.table = DP_TABLE_REPLY;
		r.dst = list[i];
		if (cidr_is_v4(list[i]) == v4)
			route_put(m, &r);
	}
}

static void rules_build(struct dp_model *m, bool v4)
{
	const struct slu_config *c = &m->config;
	const struct fib_rule rules[] = {
		{
			.family = v4 ? AF_INET : AF_INET6,
			.priority = DP_RULE_REPLY,
			.mark = (uint32_t)SLU_ID_REPLY << c->mark_shift,
			.mask = c->mark_mask,
			.table = DP_TABLE_REPLY,
		},
		{
			.family = v4 ? AF_INET : AF_INET6,
			.priority = DP_RULE_DIVERT,
			.mark = c->divert,
			.mask = c->divert,
			.table = DP_TABLE_DIVERT,
		},
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		MEM_GROW(m->rules, m->n_rules);
		m->rules[m->n_rules++] = rules[i];
	}
}

static void family_build(struct dp_model *m, const struct desired_in *in, bool v4, uint32_t mtu)
{
	struct neigh n = {.ifindex = DP_TUNNEL, .addr = peer_addr(v4), .permanent = true};

	memcpy(n.mac, device_mac, sizeof(n.mac));
	MEM_GROW(m->neighs, m->n_neighs);
	m->neighs[m->n_neighs++] = n;
	MEM_GROW(m->addrs, m->n_addrs);
	m->addrs[m->n_addrs++] = (struct ifaddr){.ifindex = DP_TUNNEL,
						 .addr = own_addr(v4),
						 .prefix_len = v4 ? 32 : 128,
						 .ours = true};
	tables_build(m, in, v4, mtu);
	rules_build(m, v4);
}

static uint32_t at_least(uint32_t v, uint32_t min)
{
	return v > min ? v : min;
}

static void network_build(struct dp_model *m, const struct desired_in *in)
{
	uint32_t path = in->path_mtu ? in->path_mtu : DESIRED_MTU_DEFAULT;
	uint32_t asked = compiled_tunnel_mtu(in->compiled), v4 = path - OVERHEAD_V4,
		 v6 = path - OVERHEAD_V6;

	if (path < MTU_MIN)
		v4 = v6 = MTU_MIN;
	if (asked && asked < v4)
		v4 = asked;
	if (asked && asked < v6)
		v6 = asked;
	m->link = (struct dp_link){.present = true,
				   .up = true,
				   .port = (uint16_t)m->config.tunnel_port,
				   .mtu = at_least(v4, MTU_MIN),
				   .rp_filter = 2,
				   .to_tunnel = true,
				   .from_tunnel = true};
	v6 = at_least(v6, MTU_MIN);
	family_build(m, in, true, 0);
	if (in->node->ipv6)
		family_build(m, in, false, v6 < m->link.mtu ? v6 : 0);
}

/* ---- nodes ---- */

static void nodes_build(struct dp_model *m, const struct desired_in *in)
{
	const struct compiled_node *nodes;
	size_t n;

	nodes = compiled_nodes(in->compiled, &n);
	m->nft_nodes = mem_alloc0(n * sizeof(*m->nft_nodes));
	for (size_t i = 0; i < n; i++) {
		const struct addr both[2] = {nodes[i].v4, nodes[i].v6};
		uint32_t index;

		if (strcmp(nodes[i].name, in->node_name) == 0 ||
		    (addr_is_zero(both[0]) && addr_is_zero(both[1])) ||
		    ids_node(in->ids, nodes[i].name, &index) < 0)
			continue;
		m->nodes[index] = (struct slu_node){slu_addr_make(both[0]), slu_addr_make(both[1])};
		m->nft_nodes[m->nft_model.n_nodes++] = index;
		for (int f = 0; f < 2; f++) {
			if (addr_is_zero(both[f]))
				continue;
			MEM_GROW(m->senders, m->n_senders);
			m->senders[m->n_senders++] = (struct dp_sender){slu_addr_make(both[f]),
									index};
		}
	}
}

/* ---- egress addresses ---- */

static uint32_t egress_state(const struct egress_addr *a, const struct place *p)
{
	if (p->leaves)
		return SLU_ADDR_LOCAL;
	if (a->problem || !a->owner)
		return SLU_ADDR_NO_OWNER;
	if (a->local && !p->comes)
		return p->held ? SLU_ADDR_LOCAL : SLU_ADDR_NO_OWNER;
	return SLU_ADDR_REMOTE;
}

static void local_build(struct dp_model *m, const struct desired_in *in, size_t index, uint32_t id)
{
	size_t n;
	const struct egress_addr *a = &compiled_addrs(in->compiled, &n)[index];
	uint32_t leaves = in->places[index].leaves;
	const struct link_info *l;

	m->nft_addresses[m->nft_model.n_addresses++] = (struct nft_address){
		.id = id, .addr = a->addr, .guard = a->assign || leaves};
	if (a->limits.connections || a->limits.ports)
		m->nft_limits[m->nft_model.n_limits++] = (struct nft_limit){
			.id = id, .most = {a->limits.connections, a->limits.ports}};
	MEM_GROW(m->owned, m->n_owned);
	m->owned[m->n_owned++] = (struct dp_owned){.key = {slu_addr_make(a->endpoint), a->vni},
						   .id = id};
	l = leaves ? node_link(in->node, leaves) : NULL;
	if (a->assign && a->interface)
		l = node_link_name(in->node, a->interface);
	if (!l || in->places[index].bare)
		return;
	MEM_GROW(m->addrs, m->n_addrs);
	m->addrs[m->n_addrs++] = (struct ifaddr){.ifindex = l->ifindex,
						 .addr = a->addr,
						 .prefix_len = addr_is_v4(a->addr) ? 32 : 128,
						 .ours = true};
}

/*
 * A spare address keeps the id it has, so that connections that began under it can go on,
 * as long as that leaves enough for those that need one.
 */
static bool egress_id(struct desired *d, const struct desired_in *in, const struct egress_addr *a,
		      uint32_t *ret)
{
	const struct ids_address key = {a->addr, a->endpoint, a->vni};

	if (!a->spare) {
		d->n_with_id++;
		if (ids_address(in->ids, &key, ret) == 0)
			return true;
		d->n_without_id++;
		return false;
	}
	if (d->n_with_id >= SLU_ID_MAX - SLU_ID_FIRST - IDS_RESERVE ||
	    ids_address_keep(in->ids, &key, ret) < 0)
		return false;
	d->n_with_id++;
	return true;
}

static void egress_build(struct desired *d, const struct desired_in *in)
{
	struct dp_model *m = d->model;
	const struct egress_addr *addrs;
	size_t n;

	addrs = compiled_addrs(in->compiled, &n);
	d->addr_ids = mem_alloc0(n * sizeof(*d->addr_ids));
	m->nft_addresses = mem_alloc0(n * sizeof(*m->nft_addresses));
	m->nft_limits = mem_alloc0(n * sizeof(*m->nft_limits));
	for (size_t i = 0; i < n; i++) {
		const struct egress_addr *a = &addrs[i];
		uint32_t state = egress_state(a, &in->places[i]);

		if (!egress_id(d, in, a, &d->addr_ids[i]))
			continue;
		m->egress[d->addr_ids[i]] = (struct slu_egress){
			.state = state,
			.vni = a->vni,
			.addr = slu_addr_make(a->addr),
			.endpoint = slu_addr_make(a->endpoint),
		};
		if (state == SLU_ADDR_LOCAL)
			local_build(m, in, i, d->addr_ids[i]);
	}
}

/* ---- nft ---- */

static int nft_address_cmp(const void *a, const void *b)
{
	const struct nft_address *x = a, *y = b;
	int c = addr_cmp(x->addr, y->addr);

	return c ? c : (x->id < y->id ? -1 : x->id > y->id);
}

static int index_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void end_add(struct dp_model *m, struct addr a)
{
	if (addr_is_zero(a))
		return;
	MEM_GROW(m->nft_ends, m->nft_model.n_tunnel_ends);
	m->nft_ends[m->nft_model.n_tunnel_ends++] = a;
}

/* Also of addresses that no pod here has: any pod could write to them as if it were the node. */
static void ends_build(struct dp_model *m, const struct compiled *c)
{
	const struct compiled_node *nodes;
	const struct egress_addr *addrs;
	const struct cidr *external;
	size_t n, kept = 0;

	nodes = compiled_nodes(c, &n);
	for (size_t i = 0; i < n; i++) {
		end_add(m, nodes[i].v4);
		end_add(m, nodes[i].v6);
	}
	external = compiled_external(c, &n);
	for (size_t i = 0; i < n; i++)
		end_add(m, external[i].addr);
	addrs = compiled_addrs(c, &n);
	for (size_t i = 0; i < n; i++)
		end_add(m, addrs[i].endpoint);
	n = m->nft_model.n_tunnel_ends;
	if (n)
		qsort(m->nft_ends, n, sizeof(*m->nft_ends), addr_order);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !addr_eq(m->nft_ends[kept - 1], m->nft_ends[i]))
			m->nft_ends[kept++] = m->nft_ends[i];
	m->nft_model.n_tunnel_ends = kept;
}

static void nft_build(struct desired *d, const struct compiled *c)
{
	struct dp_model *m = d->model;
	struct nft_model *v = &m->nft_model;

	ends_build(m, c);
	if (v->n_addresses)
		qsort(m->nft_addresses, v->n_addresses, sizeof(*m->nft_addresses), nft_address_cmp);
	if (v->n_nodes)
		qsort(m->nft_nodes, v->n_nodes, sizeof(*m->nft_nodes), index_cmp);
	m->nft = true;
	v->mark_mask = m->config.mark_mask;
	v->port = (uint16_t)m->config.tunnel_port;
	v->addresses = m->nft_addresses;
	v->limits = m->nft_limits;
	v->nodes = m->nft_nodes;
	v->inside = m->nft_inside;
	v->tunnel_ends = m->nft_ends;
	v->services = m->nft_services;
}

void desired_build(const struct desired_in *in, struct desired **ret)
{
	struct desired *d = mem_alloc0(sizeof(*d));

	d->model = dp_model_new();
	config_fill(in->compiled, in->node_name, &d->model->config);
	desired_inside(in->compiled, in->node, d->model);
	network_build(d->model, in);
	nodes_build(d->model, in);
	egress_build(d, in);
	d->identities = dp_identities_new(in->compiled, d->addr_ids, &d->n_identities);
	desired_ways(d, in);
	nft_build(d, in->compiled);
	dp_model_sort(d->model);
	*ret = d;
}

void desired_free(struct desired *d)
{
	if (!d)
		return;
	dp_identities_free(d->identities, d->n_identities);
	free(d->addr_ids);
	dp_model_free(d->model);
	free(d);
}
