/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe.h"

#include <errno.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bpf/guard.h"
#include "bpf/maps.h"
#include "kernel/sysctl.h"
#include "kernel/tc.h"

/* ---- sluice0 ---- */

static int program_attached(const struct dp_kernel *k, uint32_t ifindex, enum tc_dir dir,
			    enum bpf_prog prog, bool *ret, struct err *e)
{
	struct tc_state st = {0};
	uint32_t id;
	int r;

	r = bpf_prog_id(k->pins, prog, &id, e);
	if (r == 0)
		r = tc_query(ifindex, dir, id, bpf_prog_name(prog), &st, e);
	if (r == -ENODEV) {
		*ret = false;
		return 0;
	}
	*ret = st.attached && st.reached;
	return r;
}

/* *ret_ifindex 0: there is none. */
static int link_observe(const struct dp_kernel *k, const struct dp_model *want, struct dp_model *m,
			uint32_t *ret_ifindex, struct err *e)
{
	/* another mtu is no reason to make it anew */
	const struct link_vxlan spec = {
		.name = DP_LINK, .mac = SLU_MAC_DEVICE, .port = want->link.port};
	struct link_info info;
	int r;

	*ret_ifindex = 0;
	r = link_vxlan_check(k->rtnl, &spec, &info, e);
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	m->link = (struct dp_link){.present = true,
				   .wrong = r == 0,
				   .up = info.flags & IFF_UP,
				   .port = spec.port,
				   .mtu = info.mtu};
	r = sysctl_get("net/ipv4/conf/" DP_LINK "/rp_filter", &m->link.rp_filter, e);
	if (r == 0 && k->pins)
		r = program_attached(k, info.ifindex, TC_DIR_EGRESS, BPF_PROG_TO_TUNNEL,
				     &m->link.to_tunnel, e);
	if (r == 0 && k->pins)
		r = program_attached(k, info.ifindex, TC_DIR_INGRESS, BPF_PROG_FROM_TUNNEL,
				     &m->link.from_tunnel, e);
	if (r == 0)
		*ret_ifindex = info.ifindex;
	return r;
}

static void addrs_observe(const struct dp_observe_in *in, uint32_t tunnel, struct dp_model *m)
{
	for (size_t i = 0; i < in->n_addrs; i++) {
		struct ifaddr a = in->addrs[i];

		if (!a.ours && (!tunnel || a.ifindex != tunnel))
			continue;
		if (tunnel && a.ifindex == tunnel)
			a.ifindex = DP_TUNNEL;
		MEM_GROW(m->addrs, m->n_addrs);
		m->addrs[m->n_addrs++] = a;
	}
}

/* The kernel's own entries (multicast, NOARP) are not permanent; those are ours to set. */
static int neighs_observe(const struct dp_kernel *k, uint32_t tunnel, struct dp_model *m,
			  struct err *e)
{
	size_t n = 0;
	int r;

	if (!tunnel)
		return 0;
	r = neigh_list(k->rtnl, tunnel, &m->neighs, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (!m->neighs[i].permanent || addr_is_multicast(m->neighs[i].addr))
			continue;
		m->neighs[m->n_neighs] = m->neighs[i];
		m->neighs[m->n_neighs++].ifindex = DP_TUNNEL;
	}
	return 0;
}

static int routes_observe(const struct dp_kernel *k, uint32_t table, uint32_t tunnel,
			  struct dp_model *m, struct err *e)
{
	__cleanup_free struct route *routes = NULL;
	size_t n = 0, foreign = 0;
	int r;

	r = route_list(k->rtnl, table, &routes, &n, &foreign, e);
	if (r < 0)
		return r;
	if (foreign)
		return err_set(
			e, -EEXIST,
			"route table %u holds %zu routes of somebody else: it must be ours alone",
			table, foreign);
	for (size_t i = 0; i < n; i++) {
		struct route v = routes[i];

		if (tunnel && v.ifindex == tunnel)
			v.ifindex = DP_TUNNEL;
		MEM_GROW(m->routes, m->n_routes);
		m->routes[m->n_routes++] = v;
	}
	return 0;
}

/* Of the ways out: those that are wanted, and those that some rule of ours leads to. */
static int ways_observe(const struct dp_kernel *k, const struct dp_observe_in *in, uint32_t tunnel,
			struct dp_model *m, struct err *e)
{
	bool look[DP_MAX_WAYS] = {false};
	const struct dp_model *both[] = {in->want, m};
	int r = 0;

	for (size_t b = 0; b < 2; b++)
		for (size_t i = 0; i < both[b]->n_rules; i++) {
			uint32_t way = both[b]->rules[i].table - DP_TABLE_WAY;

			if (way < DP_MAX_WAYS)
				look[way] = true;
		}
	for (uint32_t i = 0; r == 0 && i < DP_MAX_WAYS; i++)
		if (look[i])
			r = routes_observe(k, DP_TABLE_WAY + i, tunnel, m, e);
	return r;
}

static int network_observe(const struct dp_kernel *k, const struct dp_observe_in *in,
			   struct dp_model *m, struct err *e)
{
	uint32_t tunnel;
	int r;

	r = link_observe(k, in->want, m, &tunnel, e);
	if (r < 0)
		return r;
	addrs_observe(in, tunnel, m);
	r = neighs_observe(k, tunnel, m, e);
	if (r == 0)
		r = rule_list(k->rtnl, &m->rules, &m->n_rules, e);
	if (r == 0)
		r = routes_observe(k, DP_TABLE_DIVERT, tunnel, m, e);
	if (r == 0)
		r = routes_observe(k, DP_TABLE_REPLY, tunnel, m, e);
	if (r == 0)
		r = ways_observe(k, in, tunnel, m, e);
	return r;
}

static int nft_look(const struct dp_kernel *k, const struct dp_model *want, struct dp_model *m,
		    struct err *e)
{
	int r = want->nft ? nft_observe(k->nft, &want->nft_model, e) : 0;

	if (r < 0)
		return r;
	m->nft_differs = r;
	m->nft = true; /* removal copes with a table that is not there */
	return 0;
}

/* ---- maps ---- */

static int array_observe(struct bpf_pins *pins, enum bpf_map map, void *values, size_t size,
			 uint32_t n, struct err *e)
{
	for (uint32_t i = 0; i < n; i++) {
		int r = bpf_map_lookup(pins, map, &i, (char *)values + i * size, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int inside_observe(struct bpf_pins *pins, struct dp_model *m, struct err *e)
{
	__cleanup_free struct slu_lpm_key *keys = NULL;
	__cleanup_free uint32_t *values = NULL;
	size_t n = 0;
	int r = bpf_map_dump(pins, BPF_MAP_INSIDE, (void **)&keys, (void **)&values, &n, e);

	if (r < 0)
		return r;
	m->inside = mem_alloc0(n * sizeof(*m->inside));
	m->n_inside = n;
	for (size_t i = 0; i < n; i++)
		m->inside[i] = (struct dp_inside){keys[i], values[i]};
	return 0;
}

static int services_observe(struct bpf_pins *pins, struct dp_model *m, struct err *e)
{
	__cleanup_free struct slu_endpoint *keys = NULL;
	__cleanup_free struct slu_service *values = NULL;
	size_t n = 0;
	int r = bpf_map_dump(pins, BPF_MAP_SERVICES, (void **)&keys, (void **)&values, &n, e);

	if (r < 0)
		return r;
	m->services = mem_alloc0(n * sizeof(*m->services));
	m->n_services = n;
	for (size_t i = 0; i < n; i++)
		m->services[i] = (struct dp_service){keys[i], values[i]};
	return 0;
}

static int senders_observe(struct bpf_pins *pins, struct dp_model *m, struct err *e)
{
	__cleanup_free struct slu_addr *keys = NULL;
	__cleanup_free uint32_t *values = NULL;
	size_t n = 0;
	int r = bpf_map_dump(pins, BPF_MAP_SENDERS, (void **)&keys, (void **)&values, &n, e);

	if (r < 0)
		return r;
	m->senders = mem_alloc0(n * sizeof(*m->senders));
	m->n_senders = n;
	for (size_t i = 0; i < n; i++)
		m->senders[i] = (struct dp_sender){keys[i], values[i]};
	return 0;
}

static int owned_observe(struct bpf_pins *pins, struct dp_model *m, struct err *e)
{
	__cleanup_free struct slu_owned_key *keys = NULL;
	__cleanup_free uint32_t *values = NULL;
	size_t n = 0;
	int r = bpf_map_dump(pins, BPF_MAP_OWNED, (void **)&keys, (void **)&values, &n, e);

	if (r < 0)
		return r;
	m->owned = mem_alloc0(n * sizeof(*m->owned));
	m->n_owned = n;
	for (size_t i = 0; i < n; i++)
		m->owned[i] = (struct dp_owned){keys[i], values[i]};
	return 0;
}

static int maps_observe(struct bpf_pins *pins, struct dp_model *m, struct err *e)
{
	int r;

	r = array_observe(pins, BPF_MAP_CONFIG, &m->config, sizeof(m->config), 1, e);
	if (r == 0)
		r = array_observe(pins, BPF_MAP_NODES, m->nodes, sizeof(m->nodes[0]), SLU_MAX_NODES,
				  e);
	if (r == 0)
		r = array_observe(pins, BPF_MAP_ADDRS, m->egress, sizeof(m->egress[0]), SLU_ID_MAX,
				  e);
	if (r == 0)
		r = inside_observe(pins, m, e);
	if (r == 0)
		r = services_observe(pins, m, e);
	if (r == 0)
		r = senders_observe(pins, m, e);
	if (r == 0)
		r = owned_observe(pins, m, e);
	return r;
}

static void maps_known(const struct dp_model *known, struct dp_model *m)
{
	m->config = known->config;
	memcpy(m->nodes, known->nodes, sizeof(m->nodes));
	memcpy(m->egress, known->egress, sizeof(m->egress));
	m->inside = mem_dup(known->inside, known->n_inside * sizeof(*m->inside));
	m->n_inside = known->n_inside;
	m->services = mem_dup(known->services, known->n_services * sizeof(*m->services));
	m->n_services = known->n_services;
	m->senders = mem_dup(known->senders, known->n_senders * sizeof(*m->senders));
	m->n_senders = known->n_senders;
	m->owned = mem_dup(known->owned, known->n_owned * sizeof(*m->owned));
	m->n_owned = known->n_owned;
}

static int guard_observe(struct bpf_pins *pins, struct dp_model *m, struct err *e)
{
	enum guard_state state;
	int r = bpf_guard_look(pins, &state, e);

	m->no_guard = r == 0 && state == GUARD_MISSING;
	return r;
}

/* ---- pods ---- */

static int pod_observe(const struct dp_kernel *k, struct dp_pod *p, struct err *e)
{
	int r;

	if (!p->a.macvlan) {
		r = program_attached(k, p->a.ifindex, TC_DIR_INGRESS, BPF_PROG_FROM_POD,
				     &p->attached, e);
		if (r == 0)
			r = program_attached(k, p->a.ifindex, TC_DIR_EGRESS, BPF_PROG_TO_POD,
					     &p->a.names, e);
		return r;
	}
	r = program_attached(k, p->a.ifindex, TC_DIR_EGRESS, BPF_PROG_MACVLAN_EGRESS, &p->attached,
			     e);
	if (r == 0 && p->attached)
		r = program_attached(k, p->a.ifindex, TC_DIR_INGRESS, BPF_PROG_MACVLAN_INGRESS,
				     &p->attached, e);
	return r;
}

static int pods_observe(const struct dp_kernel *k, enum bpf_map map, struct dp_model *m,
			struct err *e)
{
	__cleanup_free void *keys = NULL;
	__cleanup_free struct slu_pod *values = NULL;
	size_t n = 0;
	int r = bpf_map_dump(k->pins, map, &keys, (void **)&values, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct dp_pod p = {.a = {.pod = values[i]}};

		p.a.macvlan = map == BPF_MAP_MACVLANS;
		if (p.a.macvlan)
			p.a.ifindex = ((const struct slu_macvlan_key *)keys)[i].parent;
		else
			p.a.ifindex = ((const uint32_t *)keys)[i];
		r = pod_observe(k, &p, e);
		MEM_GROW(m->pods, m->n_pods);
		m->pods[m->n_pods++] = p;
	}
	return r;
}

int dp_observe(const struct dp_kernel *k, const struct dp_observe_in *in, struct dp_model **ret,
	       struct err *e)
{
	__cleanup(dp_model_freep) struct dp_model *m = dp_model_new();
	int r;

	r = network_observe(k, in, m, e);
	if (r == 0)
		r = nft_look(k, in->want, m, e);
	if (r == 0 && k->pins && in->known)
		maps_known(in->known, m);
	else if (r == 0 && k->pins)
		r = maps_observe(k->pins, m, e);
	if (r == 0 && k->pins)
		r = guard_observe(k->pins, m, e);
	if (r == 0 && k->pins)
		r = pods_observe(k, BPF_MAP_PODS, m, e);
	if (r == 0 && k->pins)
		r = pods_observe(k, BPF_MAP_MACVLANS, m, e);
	if (r < 0)
		return r;
	dp_model_sort(m);
	*ret = TAKE(m);
	return 0;
}
