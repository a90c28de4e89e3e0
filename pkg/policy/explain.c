/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bpf/abi.h"
#include "policy/compiled.h"

/* ---- the walk ---- */

struct walk {
	struct explain *x;
	const struct compiled *c;
	const struct explain_query *q;
	bool verdict_found, identity_found;
	int passed_step; /* -1 = none */
};

static enum explain_role verdict_role(struct walk *w, const struct flat_rule *r)
{
	enum rule_action action = flat_rule_action(r);

	if (action == ACTION_NONE)
		return EXPLAIN_NOT_ASKED;
	if (w->verdict_found)
		return EXPLAIN_TOO_LATE;
	if (w->passed_step == r->step)
		return EXPLAIN_PASSED_OVER;
	if (action == ACTION_PASS) {
		w->passed_step = r->step;
		return EXPLAIN_PASSES;
	}
	w->verdict_found = true;
	return EXPLAIN_WINS;
}

static enum explain_role identity_role(struct walk *w, const struct flat_rule *r)
{
	if (r->identity == IDENTITY_NONE)
		return EXPLAIN_NOT_ASKED;
	if (w->identity_found)
		return EXPLAIN_TOO_LATE;
	w->identity_found = true;
	return EXPLAIN_WINS;
}

static struct explain_line *add_line(struct walk *w, const struct flat_rule *r)
{
	MEM_GROW(w->x->lines, w->x->n_lines);
	w->x->lines[w->x->n_lines] = (struct explain_line){.rule = r};
	return &w->x->lines[w->x->n_lines++];
}

static void walk_rule(struct walk *w, const struct flat_rule *r)
{
	struct explain_line *line = add_line(w, r);

	line->match = explain_match_rule(w->c, r, w->q, &line->through);
	if (line->match != EXPLAIN_MATCHES)
		return;
	line->verdict = verdict_role(w, r);
	line->identity = identity_role(w, r);
}

static void walk_absent(struct walk *w, const struct compiled_policy *p, const struct doc_rule *r)
{
	struct flat_rule *absent = mem_alloc0(sizeof(*absent));

	*absent = (struct flat_rule){
		.policy = p->doc, .rule = r, .step = p->step, .identity = IDENTITY_NONE};
	MEM_GROW(w->x->absent, w->x->n_absent);
	w->x->absent[w->x->n_absent++] = absent;
	add_line(w, absent)->match = EXPLAIN_OTHER_TIME;
}

/* A rule of the document is some flat rules in a row, or none at this time. */
static void walk_policy(struct walk *w, const struct compiled_policy *p)
{
	size_t next = 0;

	for (size_t i = 0; i < p->doc->n_rules; i++) {
		size_t first = next;

		for (; next < p->n_rules && p->rules[next].rule == &p->doc->rules[i]; next++)
			walk_rule(w, &p->rules[next]);
		if (next == first)
			walk_absent(w, p, &p->doc->rules[i]);
	}
}

static int compare_policies(const void *va, const void *vb)
{
	const struct compiled_policy *const *a = va, *const *b = vb;

	return doc_policy_order((*a)->doc, (*b)->doc);
}

static void walk_defaults(struct walk *w)
{
	const struct binding *b = &w->x->binding;
	__cleanup_free const struct compiled_policy **list = mem_alloc0(b->n * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		if (w->c->policies[b->policies[i]].doc->has_default)
			list[n++] = &w->c->policies[b->policies[i]];
	if (n)
		qsort(list, n, sizeof(*list), compare_policies);
	for (size_t i = 0; i < n; i++)
		walk_rule(w, &list[i]->rules[list[i]->n_rules - 1]);
}

static void walk_rules(struct explain *x, const struct compiled *c, const struct explain_query *q)
{
	struct walk w = {.x = x, .c = c, .q = q, .passed_step = -1};

	for (uint8_t step = STEP_ADMIN; step <= STEP_BASELINE; step++) {
		for (size_t i = 0; step != STEP_DEFAULTS && i < x->binding.n; i++) {
			const struct compiled_policy *p = &c->policies[x->binding.policies[i]];

			if (p->step == step)
				walk_policy(&w, p);
		}
		if (step == STEP_DEFAULTS)
			walk_defaults(&w);
	}
}

/* ---- the answer ---- */

static bool is_resolver(const struct compiled *c, const struct explain_query *q)
{
	const struct doc_config *conf = compiled_config(c);

	if (q->l4_key != L4_KEY(IPPROTO_UDP, 53) && q->l4_key != L4_KEY(IPPROTO_TCP, 53))
		return false;
	for (size_t i = 0; conf && i < conf->n_resolvers; i++)
		if (addr_eq(conf->resolvers[i], q->dst))
			return true;
	return false;
}

static enum explain_scope scope_of(const struct compiled *c, const struct explain_query *q,
				   struct cidr *ret_inside)
{
	bool inside = false;

	if (addr_is_multicast(q->dst) || addr_is_loopback(q->dst) || addr_is_unspecified(q->dst))
		return EXPLAIN_UNTOUCHED;
	for (size_t i = 0; i < c->n_inside; i++) {
		if (cidr_contains_addr(c->inside[i], q->dst)) {
			*ret_inside = c->inside[i]; /* sorted: the last is the longest */
			inside = true;
		}
	}
	if (inside)
		return EXPLAIN_INSIDE;
	if (is_resolver(c, q))
		return EXPLAIN_RESOLVER;
	return addr_is_link_local(q->dst) ? EXPLAIN_LINK_LOCAL : EXPLAIN_OUTSIDE;
}

/* It has one address for each connection: what is wrong with one of them, if it is with all. */
static uint8_t slots_reason(const struct compiled *c, const struct identity *id, size_t f)
{
	uint8_t reason = SLU_OK;

	for (uint32_t i = 0; i < id->n_picks[f]; i++) {
		reason = c->addrs[id->picks[f][i]].problem;
		if (!reason)
			return SLU_OK;
	}
	return reason;
}

/* Why the identity cannot be given, SLU_OK when it can (or when the node's way will do). */
static uint8_t identity_reason(struct explain *x, const struct compiled *c,
			       const struct explain_query *q)
{
	size_t f = addr_is_v4(q->dst) ? 0 : 1;
	const struct egress_addr *a;
	uint32_t n = x->id->n_picks[f];

	if (x->scope == EXPLAIN_LINK_LOCAL)
		return SLU_DROP_LINK_LOCAL_VIA;
	if (q->source_exempt)
		return SLU_DROP_NOT_PERMITTED;
	if (!n)
		return x->id->none[f];
	x->by_flow = x->id->per_flow;
	if (x->by_flow && !x->id->or_node)
		return slots_reason(c, x->id, f);
	if (x->by_flow)
		return SLU_OK;
	a = &c->addrs[x->id->picks[f][pod_spread(q->pod.namespace, q->pod.name) % n]];
	if (!a->problem)
		x->addr = a;
	return x->id->or_node ? SLU_OK : a->problem;
}

static void answer(struct explain *x, const struct compiled *c, const struct explain_query *q,
		   const struct decision *d)
{
	x->verdict = d->verdict;
	if (d->identity)
		x->id = &c->identities[d->identity];
	x->suspended = d->verdict != VERDICT_ALLOW && compiled_config(c) &&
		       compiled_config(c)->audit;
	if (x->suspended)
		x->reason = x->id ? identity_reason(x, c, q) : SLU_OK;
	else if (d->verdict == VERDICT_DENY)
		x->reason = SLU_DROP_DENIED;
	else if (d->verdict == VERDICT_REJECT)
		x->reason = SLU_DROP_REJECTED;
	else if (x->id)
		x->reason = identity_reason(x, c, q);
}

static bool is_governed(const struct explain *x)
{
	return x->scope == EXPLAIN_OUTSIDE || x->scope == EXPLAIN_LINK_LOCAL;
}

static int bind_pod(const struct compiled *c, const struct explain_query *q, struct explain *x)
{
	int r = q->audit ? policy_resolve_audit(c, &q->pod, &x->binding) : 0;

	if (r == 0 && !x->binding.n)
		r = policy_resolve(c, &q->pod, &x->binding);
	x->undecided = r > 0;
	return r < 0 ? r : 0;
}

static struct decision decide(const struct program *p, const struct compiled *c,
			      const struct explain_query *q)
{
	return program_decide(p, c, &(struct program_dst){q->dst, q->names, q->n_names}, q->l4_key);
}

/* Who knows to which endpoint it goes? All must be decided on alike. */
static bool endpoints_differ(const struct explain *x, const struct program *p,
			     const struct compiled *c, const struct decision *first)
{
	if (x->service && x->service->n > SLU_MAX_ENDPOINTS)
		return true;
	for (size_t i = 1; x->service && i < x->service->n; i++) {
		const struct compiled_endpoint *e = &x->service->endpoints[i];
		const struct explain_query q = {.dst = e->addr, .l4_key = e->l4_key};
		struct decision d = decide(p, c, &q);

		if (d.verdict != first->verdict || d.identity != first->identity)
			return true;
	}
	return false;
}

/* A node would take it apart, whatever rules say: inside, and whoever is on the pod's link. */
static bool is_tunnel_to_node(const struct explain *x, const struct compiled *c,
			      const struct explain_query *q)
{
	if (!(x->undecided || x->binding.n) || !slu_tunnelled(q->l4_key))
		return false;
	return x->scope == EXPLAIN_INSIDE || x->scope == EXPLAIN_LINK_LOCAL ||
	       addr_is_multicast(q->dst) || cidrs_hold(c->shared, c->n_shared, q->dst);
}

int policy_explain(const struct compiled *c, const struct explain_query *query,
		   struct explain **ret)
{
	__cleanup(explain_freep) struct explain *x = mem_alloc0(sizeof(*x));
	struct explain_query as = *query, *q = &as;
	struct program *p;
	int r;

	x->service = compiled_service(c, q->dst, q->l4_key);
	if (x->service) {
		as.dst = x->service->endpoints[0].addr;
		as.l4_key = x->service->endpoints[0].l4_key;
	}
	x->scope = scope_of(c, q, &x->inside);
	r = bind_pod(c, q, x);
	if (r < 0)
		return r;
	if (x->undecided && is_governed(x))
		x->reason = SLU_DROP_QUARANTINE;
	if (!x->undecided && x->binding.n && is_governed(x)) {
		struct decision d;

		r = policy_flatten(c, &x->binding, &p);
		if (r)
			return r;
		walk_rules(x, c, q);
		d = decide(p, c, q);
		answer(x, c, q, &d);
		if (endpoints_differ(x, p, c, &d))
			x->reason = SLU_DROP_SERVICE_OUTSIDE;
		program_free(p);
	}
	if (is_tunnel_to_node(x, c, q))
		x->reason = SLU_DROP_FORGED_TUNNEL;
	*ret = TAKE(x);
	return 0;
}

void explain_free(struct explain *x)
{
	if (!x)
		return;
	binding_done(&x->binding);
	for (size_t i = 0; i < x->n_lines; i++)
		free(x->lines[i].through);
	for (size_t i = 0; i < x->n_absent; i++)
		free(x->absent[i]);
	free(x->absent);
	free(x->lines);
	free(x);
}
