/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drop is never kept out of the way: a connection whose packets would be dropped now,
 * by a verdict or because its identity is not to be had, is left to be dropped. Only an
 * identity that changes into another one is what existingConnections is about.
 *
 * One connection may have an entry in several zones: it was sent as somebody else in
 * between, and the entries of before have not run out. If one of them is what the
 * connection would be now, that is what it is.
 *
 * When somebody deletes our table, conntrack holds what never was. What a pod sends leaves an
 * entry without an identity on its way into sluice0, where it ends: believed, it would be let
 * out as the node from then on, so such an entry counts only if somebody answered; and not if the
 * table was gone meanwhile, for where nobody masquerades the tunnel carries what is sent into it,
 * and it is answered: only what was known to be kept as the node is believed then. And who is
 * between two of nftables' hooks at that moment may be bound to another address in the zone of
 * its own: unless that is forgotten, the exit guard drops it from then on.
 */
#include "reconcile/keep.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define DNS_PORT 53
#define NOBODY	 UINT32_MAX /* its packets are dropped */

int kept_cmp(const void *a, const void *b)
{
	return memcmp(&((const struct kept *)a)->flow, &((const struct kept *)b)->flow,
		      sizeof(struct slu_flow));
}

const struct kept *kept_find(const struct kept *list, size_t n, const struct slu_flow *flow)
{
	const struct kept key = {.flow = *flow};

	return n ? bsearch(&key, list, n, sizeof(key), kept_cmp) : NULL;
}

static int pod_cmp(const void *a, const void *b)
{
	return addr_cmp(((const struct keep_pod *)a)->addr, ((const struct keep_pod *)b)->addr);
}

static const struct keep_pod *pod_find(const struct keep_in *in, struct addr a)
{
	const struct keep_pod key = {.addr = a};

	return in->n_pods ? bsearch(&key, in->pods, in->n_pods, sizeof(key), pod_cmp) : NULL;
}

static struct slu_flow flow_key(const struct ct_flow *f)
{
	return (struct slu_flow){
		.local = slu_addr_make(f->src),
		.remote = slu_addr_make(f->dst),
		.lport = htons(f->sport),
		.rport = htons(f->dport),
		.proto = f->proto,
	};
}

/* ---- is it judged at all ---- */

static bool outside(const struct keep_in *in, const struct ct_flow *f)
{
	const struct nft_model *nft = &in->model->nft_model;

	if (addr_is_multicast(f->dst) || cidrs_hold(in->model->nft_inside, nft->n_inside, f->dst))
		return false;
	for (size_t i = 0; f->dport == DNS_PORT && i < in->n_resolvers; i++)
		if (addr_eq(in->resolvers[i], f->dst))
			return false;
	return true;
}

/* ---- who it was, who it would be ---- */

static bool is_id(uint32_t v)
{
	return v >= SLU_ID_FIRST && v < SLU_ID_MAX;
}

static uint32_t flow_began(const struct ct_flow *f)
{
	uint32_t id = f->zone < SLU_ID_MAX ? f->zone : f->zone - SLU_ID_MAX; /* by tunnel */

	return is_id(id) ? id : 0;
}

/* It is over, or may never have been: it does not tell who the connection is. */
static bool tells_nothing(const struct ct_flow *f)
{
	return f->ended || (!f->answered && !flow_began(f));
}

/*
 * The id stands for an address, and for a connection from here the one that it was given; what
 * goes by tunnel has its own.
 */
static bool id_stands(const struct keep_in *in, const struct ct_flow *f, uint32_t id)
{
	const struct slu_egress *e = &in->model->egress[id];

	if (id == 0)
		return true;
	if (e->state == SLU_ADDR_FREE)
		return false;
	return f->dnat || addr_eq(f->seen, f->zone == id ? slu_addr_get(e->addr) : f->src);
}

/* It began as the node, and not perhaps in sluice0 while our table was gone. */
static bool node_stands(const struct keep_in *in, const struct keep_pod *p, const struct ct_flow *f)
{
	const struct slu_flow flow = flow_key(f);
	const struct kept *have = p->gap ? kept_find(in->kept, in->n_kept, &flow) : NULL;

	return !p->gap || (have && have->id == 0);
}

static uint32_t place_of(const struct keep_pod *p, const struct dp_identity *who,
			 const struct ct_flow *f)
{
	struct slu_addr src = slu_addr_make(f->src), dst = slu_addr_make(f->dst);

	if (!who->by_flow)
		return p->spread;
	return slu_flow_spread(&src, &dst, SLU_PORTS(htons(f->sport), htons(f->dport)), f->proto);
}

static uint32_t identity_now(const struct keep_in *in, const struct keep_pod *p,
			     const struct dp_identity *who, const struct ct_flow *f)
{
	int family = addr_is_v4(f->dst) ? 0 : 1;
	uint32_t id;

	if (!who->n[family])
		return who->none[family] == SLU_OK ? 0 : NOBODY;
	id = who->picks[family][place_of(p, who, f) % who->n[family]];
	if (!is_id(id))
		return NOBODY;
	if (who->or_node && in->model->egress[id].state == SLU_ADDR_NO_OWNER)
		return 0;
	return id;
}

/* Its policy gives the identity; where none does, it is the one that lets it pass. */
static bool says_reset(const struct program *program, const struct decision *d)
{
	uint32_t rule = d->identity_rule != UINT32_MAX ? d->identity_rule : d->verdict_rule;

	return rule != UINT32_MAX && program->rules[rule]->policy->reset;
}

static struct decision flow_decision(const struct keep_in *in, const struct keep_pod *p,
				     const struct ct_flow *f)
{
	struct program_dst dst = {.addr = f->dst};

	if (in->names && p->program->n_names)
		dst.names = in->names(in->data, p->tenant, f->dst, &dst.n_names);
	return program_decide(p->program, in->compiled, &dst, L4_KEY(f->proto, f->dport));
}

static uint32_t flow_now(const struct keep_in *in, const struct keep_pod *p,
			 const struct ct_flow *f, bool *ret_reset)
{
	struct decision d;

	*ret_reset = false;
	if (p->flags & SLU_POD_QUARANTINE)
		return NOBODY;
	if (!p->program)
		return 0;
	d = flow_decision(in, p, f);
	if (d.verdict != VERDICT_ALLOW && !in->model->config.audit)
		return NOBODY;
	*ret_reset = says_reset(p->program, &d);
	if (!d.identity)
		return 0;
	if (p->flags & SLU_POD_NO_SOURCE_CHECK || addr_is_link_local(f->dst))
		return NOBODY;
	return identity_now(in, p, &in->identities[d.identity], f);
}

/* As the kernel judges a Service that leads outside: its endpoints must agree, and the last of them
 * is where at leads. */
static bool service_agrees(const struct keep_in *in, const struct keep_pod *p,
			   const struct compiled_service *s, struct ct_flow *at)
{
	struct decision first = {0}, d;

	if (s->n > SLU_MAX_ENDPOINTS)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		at->dst = s->endpoints[i].addr;
		at->dport = (uint16_t)s->endpoints[i].l4_key;
		if (!p->program)
			continue;
		d = flow_decision(in, p, at);
		if (i == 0)
			first = d;
		if (d.verdict != first.verdict || d.identity != first.identity)
			return false;
	}
	return true;
}

/*
 * A reset of what is translated would come from an endpoint that the pod never spoke to: the kernel
 * does not translate it back to a bridge's port. Once it is forgotten, the pod's next packet is
 * answered as a first one is, before it is translated. In other zones it is one already.
 */
static bool is_reset_behind(const struct keep_in *in, const struct keep_pod *p,
			    const struct ct_flow *f, const struct ct_flow *at)
{
	if (!f->dnat || f->zone || f->proto != IPPROTO_TCP || !p->program ||
	    p->flags & SLU_POD_QUARANTINE || in->model->config.audit)
		return false;
	return flow_decision(in, p, at).verdict == VERDICT_REJECT;
}

enum keep_answer keep_judge(const struct keep_in *in, const struct ct_flow *f, uint32_t *ret_id)
{
	const struct compiled_service *service = compiled_service(in->compiled, f->dst,
								  L4_KEY(f->proto, f->dport));
	const struct keep_pod *p = pod_find(in, f->src);
	struct ct_flow at = *f;
	uint32_t began, now;
	bool reset;

	if (!p || f->sport == 0 || !(service || outside(in, f)))
		return KEEP_NOTHING;
	if (service && !service_agrees(in, p, service, &at))
		return KEEP_NOTHING;
	if (is_reset_behind(in, p, f, &at)) /* ended, too: the reset that went astray did it */
		return KEEP_ANEW;
	began = flow_began(f);
	/* what was sent without our table may be answered yet, and look as if it had begun so */
	if (tells_nothing(f) && (f->ended || !p->gap))
		return KEEP_NOTHING;
	now = flow_now(in, p, &at, &reset);
	if (now == NOBODY || (now == began && id_stands(in, f, began)))
		return KEEP_NOTHING;
	if (!p->stranger && !reset && id_stands(in, f, began) && (began || node_stands(in, p, f))) {
		*ret_id = began;
		return KEEP_OPEN;
	}
	/* an endpoint inside would be picked anew, too, and its mark is cleared in any case */
	return f->dnat && !service ? KEEP_NOTHING : KEEP_ANEW;
}

/* ---- all of them ---- */

/* Those that are as they would begin now, id NOBODY, come before others with the same key. */
static int choice_cmp(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;
	int c = kept_cmp(a, b);

	return c ? c : (x->id == NOBODY ? 0 : 1) - (y->id == NOBODY ? 0 : 1);
}

static void choices_settle(struct keep_sets *s)
{
	size_t kept = 0;

	if (s->n_open)
		qsort(s->open, s->n_open, sizeof(*s->open), choice_cmp);
	for (size_t i = 0; i < s->n_open; i++)
		if (i == 0 || kept_cmp(&s->open[kept - 1], &s->open[i]) != 0)
			s->open[kept++] = s->open[i];
	s->n_open = 0;
	for (size_t i = 0; i < kept; i++)
		if (s->open[i].id != NOBODY)
			s->open[s->n_open++] = s->open[i];
}

void keep_select(const struct keep_in *in, const struct ct_flow *flows, size_t n,
		 struct keep_sets *ret)
{
	*ret = (struct keep_sets){0};
	for (size_t i = 0; i < n; i++) {
		struct kept k = {.flow = flow_key(&flows[i]), .id = NOBODY};
		enum keep_answer a = keep_judge(in, &flows[i], &k.id);

		if (a == KEEP_ANEW) {
			MEM_GROW(ret->anew, ret->n_anew);
			ret->anew[ret->n_anew++] = flows[i];
			continue;
		}
		if (a == KEEP_NOTHING && tells_nothing(&flows[i]))
			continue;
		MEM_GROW(ret->open, ret->n_open);
		ret->open[ret->n_open++] = k;
	}
	choices_settle(ret);
}

void keep_sets_done(struct keep_sets *sets)
{
	free(sets->open);
	free(sets->anew);
	*sets = (struct keep_sets){0};
}
