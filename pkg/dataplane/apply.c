/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/apply.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "bpf/guard.h"
#include "bpf/maps.h"
#include "dataplane/attach.h"
#include "kernel/tc.h"

/* What failed so far, for the steps that build on it. */
struct run {
	const struct dp_kernel *k;
	const struct dp_plan *p;
	struct dp_outcome *out;
	uint32_t tunnel;    /* sluice0's ifindex, 0 = not looked up */
	bool tunnel_failed; /* it lacks what must be there before the first packet */
	bool nft_failed, egress_failed;
	struct addr lost[SLU_ID_MAX]; /* addresses that could not be put on their interface */
	size_t n_lost;
};

static int tunnel_ifindex(struct run *x, uint32_t *ret, struct err *e)
{
	struct link_info info;
	int r;

	if (!x->tunnel) {
		r = link_get_name(x->k->rtnl, DP_LINK, &info, e);
		if (r < 0)
			return r;
		x->tunnel = info.ifindex;
	}
	*ret = x->tunnel;
	return 0;
}

/* ---- sluice0 ---- */

static int link_del_step(struct run *x, const struct dp_step *s, struct err *e)
{
	uint32_t ifindex = 0;
	int r = tunnel_ifindex(x, &ifindex, e);

	if (r == 0)
		r = link_del(x->k->rtnl, ifindex, e);
	x->tunnel = 0;
	return r == -ENODEV ? 0 : r;
}

static int link_add_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct dp_link *l = s->arg;
	struct link_vxlan v = {
		.name = DP_LINK,
		.port = l->port,
		.mtu = l->mtu,
		.mac = SLU_MAC_DEVICE,
	};

	return link_add_vxlan(x->k->rtnl, &v, e);
}

static int link_set_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct dp_link *l = s->arg;
	uint32_t ifindex = 0;
	int r = tunnel_ifindex(x, &ifindex, e);

	return r < 0 ? r : link_set(x->k->rtnl, ifindex, l->up, l->mtu, e);
}

static int rp_filter_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct dp_link *l = s->arg;
	uint32_t ifindex = 0;
	int r = tunnel_ifindex(x, &ifindex, e);

	if (r == 0)
		r = link_set_rp_filter(x->k->rtnl, ifindex, l->rp_filter, e);
	x->tunnel_failed |= r < 0;
	return r;
}

/*
 * Without from_tunnel it takes what anybody sends to it for packets that were routed here, also
 * what a pod of this node sent into it while nftables was empty: masqueraded, it left as the node.
 */
static void tunnel_down(struct run *x)
{
	uint32_t ifindex = 0;
	struct err e = {0};

	x->tunnel_failed = true;
	if (tunnel_ifindex(x, &ifindex, &e) == 0 && link_set(x->k->rtnl, ifindex, false, 0, &e) < 0)
		log_warn(DP_LINK " lacks a program and cannot be set down", "error=%s",
			 log_quote(e.msg));
}

static int tunnel_prog_step(struct run *x, const struct dp_step *s, struct err *e)
{
	bool to = s->op == DP_LINK_TO_TUNNEL;
	uint32_t ifindex = 0;
	int fd, r;

	r = bpf_prog_fd(x->k->pins, to ? BPF_PROG_TO_TUNNEL : BPF_PROG_FROM_TUNNEL, &fd, e);
	if (r == 0)
		r = tunnel_ifindex(x, &ifindex, e);
	if (r == 0)
		r = tc_attach(ifindex, to ? TC_DIR_EGRESS : TC_DIR_INGRESS, TC_MODE_AUTO, fd, e);
	if (r < 0)
		tunnel_down(x);
	return r;
}

static int addr_step(struct run *x, const struct dp_step *s, struct err *e)
{
	struct ifaddr a = *(const struct ifaddr *)s->arg;
	bool egress = a.ifindex != DP_TUNNEL;
	int r = 0;

	if (!egress)
		r = tunnel_ifindex(x, &a.ifindex, e);
	if (r == 0 && s->op == DP_ADDR_DEL)
		return ifaddr_del(x->k->rtnl, &a, e);
	if (r == 0)
		r = ifaddr_add(x->k->rtnl, &a, egress, e);
	if (r < 0 && egress && x->n_lost < SLU_ID_MAX)
		x->lost[x->n_lost++] = a.addr;
	return r;
}

static int neigh_step(struct run *x, const struct dp_step *s, struct err *e)
{
	struct neigh n = *(const struct neigh *)s->arg;
	int r = tunnel_ifindex(x, &n.ifindex, e);

	if (r == 0)
		r = s->op == DP_NEIGH_SET ? neigh_set(x->k->rtnl, &n, e)
					  : neigh_del(x->k->rtnl, &n, e);
	return r;
}

static int route_step(struct run *x, const struct dp_step *s, struct err *e)
{
	struct route v = *(const struct route *)s->arg;
	int r = 0;

	if (v.type == ROUTE_UNICAST && v.ifindex == DP_TUNNEL)
		r = tunnel_ifindex(x, &v.ifindex, e);
	if (r == 0)
		r = s->op == DP_ROUTE_ADD ? route_add(x->k->rtnl, &v, e)
					  : route_del(x->k->rtnl, &v, e);
	return r;
}

static int rule_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct fib_rule *f = s->arg;

	return s->op == DP_RULE_ADD ? rule_add(x->k->rtnl, f, e) : rule_del(x->k->rtnl, f, e);
}

/* ---- maps ---- */

static int config_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const uint32_t zero = 0;

	return bpf_map_set(x->k->pins, BPF_MAP_CONFIG, &zero, s->arg, e);
}

static int node_step(struct run *x, const struct dp_step *s, struct err *e)
{
	return bpf_map_set(x->k->pins, BPF_MAP_NODES, &s->index, s->arg, e);
}

static int sender_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct dp_sender *v = s->arg;

	if (s->op == DP_SENDER_DEL)
		return bpf_map_delete(x->k->pins, BPF_MAP_SENDERS, &v->addr, e);
	return bpf_map_set(x->k->pins, BPF_MAP_SENDERS, &v->addr, &v->node, e);
}

static int inside_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct dp_inside *v = s->arg;

	if (s->op == DP_INSIDE_DEL)
		return bpf_map_delete(x->k->pins, BPF_MAP_INSIDE, &v->key, e);
	return bpf_map_set(x->k->pins, BPF_MAP_INSIDE, &v->key, &v->flags, e);
}

static int service_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct dp_service *v = s->arg;

	if (s->op == DP_SERVICE_DEL)
		return bpf_map_delete(x->k->pins, BPF_MAP_SERVICES, &v->at, e);
	return bpf_map_set(x->k->pins, BPF_MAP_SERVICES, &v->at, &v->to, e);
}

static int epoch_step(struct run *x, const struct dp_step *s, struct err *e)
{
	return bpf_epoch_bump(x->k->pins, e);
}

static int owned_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct dp_owned *v = s->arg;
	int r;

	if (s->op == DP_OWNED_DEL)
		return bpf_map_delete(x->k->pins, BPF_MAP_OWNED, &v->key, e);
	r = bpf_map_set(x->k->pins, BPF_MAP_OWNED, &v->key, &v->id, e);
	if (r < 0)
		x->egress_failed = true;
	return r;
}

static int egress_step(struct run *x, const struct dp_step *s, struct err *e)
{
	struct slu_egress v = {0};
	int r = 0;

	if (s->op == DP_EGRESS_SET) {
		v = *(const struct slu_egress *)s->arg;
		v.state = SLU_ADDR_NO_OWNER;
	} else if (s->op == DP_EGRESS_STATE) {
		/* in place: the kernel copies the entry word by word, only the state differs */
		r = bpf_map_lookup(x->k->pins, BPF_MAP_ADDRS, &s->index, &v, e);
		v.state = s->state;
	}
	if (r == 0)
		r = bpf_map_set(x->k->pins, BPF_MAP_ADDRS, &s->index, &v, e);
	if (r < 0)
		err_wrap(e, "egress id %u", s->index);
	return r;
}

/* ---- the rest ---- */

/* Steps answer 0, -errno, or 1: left out. */

static int nft_close_step(struct run *x, const struct dp_step *s, struct err *e)
{
	return nft_services_close(x->k->nft, x->p->closed, x->p->n_closed, e);
}

static int nft_step(struct run *x, const struct dp_step *s, struct err *e)
{
	int r = s->op == DP_NFT ? nft_apply(x->k->nft, s->arg, e) : nft_delete(x->k->nft, e);

	x->nft_failed |= r < 0;
	return r;
}

static int guard_step(struct run *x, const struct dp_step *s, struct err *e)
{
	return bpf_guard_apply(x->k->pins, e);
}

static int programs_step(struct run *x, const struct dp_step *s, struct err *e)
{
	int r = s->op == DP_PROGRAMS ? programs_apply(x->k->pins, x->p->programs, e)
				     : programs_retire(x->k->pins, x->p->programs, e);

	x->out->programs_failed |= r < 0;
	return r;
}

typedef int (*pod_step_fn)(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e);

static pod_step_fn pod_fn(enum dp_op op)
{
	if (op == DP_POD_ATTACH)
		return dp_attach;
	return op == DP_POD_CLOSE ? dp_close : dp_detach;
}

static int pod_step(struct run *x, const struct dp_step *s, struct err *e)
{
	const struct dp_gate *gate = x->p->gate;
	const struct dp_pod *v = s->arg;
	int r;

	if (gate && gate->open(s, gate->data) != 0)
		return 1;
	r = pod_fn(s->op)(x->k->pins, &v->a, e);
	if (gate)
		gate->close(gate->data);
	return r;
}

static int (*const step_fns[DP_OP_COUNT])(struct run *, const struct dp_step *, struct err *) = {
	[DP_LINK_DEL] = link_del_step,
	[DP_LINK_ADD] = link_add_step,
	[DP_LINK_SET] = link_set_step,
	[DP_LINK_RP_FILTER] = rp_filter_step,
	[DP_LINK_TO_TUNNEL] = tunnel_prog_step,
	[DP_LINK_FROM_TUNNEL] = tunnel_prog_step,
	[DP_ADDR_ADD] = addr_step,
	[DP_ADDR_DEL] = addr_step,
	[DP_NEIGH_SET] = neigh_step,
	[DP_NEIGH_DEL] = neigh_step,
	[DP_ROUTE_ADD] = route_step,
	[DP_ROUTE_DEL] = route_step,
	[DP_RULE_ADD] = rule_step,
	[DP_RULE_DEL] = rule_step,
	[DP_CONFIG] = config_step,
	[DP_NODE] = node_step,
	[DP_SENDER_SET] = sender_step,
	[DP_SENDER_DEL] = sender_step,
	[DP_INSIDE_SET] = inside_step,
	[DP_INSIDE_DEL] = inside_step,
	[DP_SERVICE_SET] = service_step,
	[DP_SERVICE_DEL] = service_step,
	[DP_NFT_CLOSE] = nft_close_step,
	[DP_EPOCH] = epoch_step,
	[DP_EGRESS_STATE] = egress_step,
	[DP_EGRESS_SET] = egress_step,
	[DP_EGRESS_FREE] = egress_step,
	[DP_NFT] = nft_step,
	[DP_NFT_DEL] = nft_step,
	[DP_GUARD] = guard_step,
	[DP_OWNED_SET] = owned_step,
	[DP_OWNED_DEL] = owned_step,
	[DP_PROGRAMS] = programs_step,
	[DP_PROGRAMS_RETIRE] = programs_step,
	[DP_POD_ATTACH] = pod_step,
	[DP_POD_CLOSE] = pod_step,
	[DP_POD_RELEASE] = pod_step,
};

/* Becoming an address's local owner needs the address, its NAT and its tunnel end. */
static bool claim_blocked(const struct run *x, const struct dp_step *s)
{
	struct addr addr = slu_addr_get(x->p->desired->egress[s->index].addr);

	if (s->state != SLU_ADDR_LOCAL)
		return false;
	if (x->nft_failed || x->egress_failed)
		return true;
	for (size_t i = 0; i < x->n_lost; i++)
		if (addr_eq(x->lost[i], addr))
			return true;
	return false;
}

static bool step_blocked(const struct run *x, const struct dp_step *s)
{
	switch (s->op) {
	case DP_LINK_SET:
		return x->tunnel_failed;
	case DP_EGRESS_STATE:
		return claim_blocked(x, s);
	case DP_POD_ATTACH: /* verdicts are marks: without nft nothing drops them */
	case DP_PROGRAMS_RETIRE:
		return x->nft_failed || x->out->programs_failed;
	default:
		return false;
	}
}

int dp_apply(const struct dp_kernel *k, struct dp_plan *p, struct dp_outcome *ret)
{
	struct run x = {.k = k, .p = p, .out = ret};

	*ret = (struct dp_outcome){0};
	for (size_t i = 0; i < p->n; i++) {
		struct dp_step *s = &p->steps[i];
		struct err e = {0};
		int r;

		if (s->skip || step_blocked(&x, s)) {
			ret->skipped++;
			continue;
		}
		r = step_fns[s->op](&x, s, &e);
		if (r >= 0) {
			s->done = r == 0;
			ret->done += r == 0;
			ret->skipped += r > 0;
			continue;
		}
		ret->failed++;
		if (ret->err.code == 0) {
			err_wrap(&e, "%s", dp_op_name(s->op));
			ret->err = e;
			ret->err.code = r;
		}
	}
	return ret->err.code;
}
