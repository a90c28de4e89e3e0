/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "policy/compiled.h"

/* ---- does one rule match? ---- */

static bool excepted(const struct doc_to *to, struct addr a)
{
	for (size_t i = 0; i < to->n_except; i++)
		if (cidr_contains_addr(to->except[i], a))
			return true;
	return false;
}

static enum explain_match destination_matches(const struct flat_rule *r, struct addr a)
{
	enum explain_match best = EXPLAIN_OTHER_DESTINATION;

	if (r->to_all)
		return EXPLAIN_MATCHES;
	for (size_t i = 0; i < r->rule->n_to; i++) {
		const struct doc_to *to = &r->rule->to[i];

		if (to->kind != TO_CIDR || !cidr_contains_addr(to->cidr, a))
			continue;
		if (!excepted(to, a))
			return EXPLAIN_MATCHES;
		best = EXPLAIN_EXCEPTED;
	}
	for (size_t i = 0; i < r->n_nodes; i++)
		if (cidr_contains_addr(r->nodes[i], a))
			return EXPLAIN_MATCHES;
	return best;
}

static bool port_matches(const struct flat_rule *r, uint32_t key)
{
	if (!r->rule || !r->rule->n_ports)
		return true;
	for (size_t i = 0; i < r->rule->n_ports; i++)
		if (key >= r->rule->ports[i].lo && key <= r->rule->ports[i].hi)
			return true;
	return false;
}

static enum explain_match rule_matches(const struct flat_rule *r, const struct explain_query *q)
{
	enum explain_match m = destination_matches(r, q->dst);

	return m == EXPLAIN_MATCHES && !port_matches(r, q->l4_key) ? EXPLAIN_OTHER_PORT : m;
}

/* ---- the walk ---- */

struct walk {
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

static void walk_rules(struct explain *x, const struct program *p, const struct explain_query *q)
{
	struct walk w = {.passed_step = -1};

	x->lines = mem_alloc0(p->n_rules * sizeof(*x->lines));
	x->n_lines = p->n_rules;
	for (size_t i = 0; i < p->n_rules; i++) {
		struct explain_line *line = &x->lines[i];

		line->rule = p->rules[i];
		line->match = rule_matches(line->rule, q);
		if (line->match != EXPLAIN_MATCHES)
			continue;
		line->verdict = verdict_role(&w, line->rule);
		line->identity = identity_role(&w, line->rule);
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
	if (d->verdict == VERDICT_DENY)
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

int policy_explain(const struct compiled *c, const struct explain_query *q, struct explain **ret)
{
	__cleanup(explain_freep) struct explain *x = mem_alloc0(sizeof(*x));
	struct program *p;
	int r;

	x->scope = scope_of(c, q, &x->inside);
	r = policy_resolve(c, &q->pod, &x->binding);
	if (r < 0)
		return r;
	x->undecided = r > 0;
	if (x->undecided && is_governed(x))
		x->reason = SLU_DROP_QUARANTINE;
	if (!x->undecided && x->binding.n && is_governed(x)) {
		r = policy_flatten(c, &x->binding, &p);
		if (r)
			return r;
		walk_rules(x, p, q);
		answer(x, c, q, program_decide(p, q->dst, q->l4_key));
		program_free(p);
	}
	*ret = TAKE(x);
	return 0;
}

void explain_free(struct explain *x)
{
	if (!x)
		return;
	binding_done(&x->binding);
	free(x->lines);
	free(x);
}

/* ---- words ---- */

const char *explain_scope_text(enum explain_scope scope)
{
	static const char *const texts[] = {
		[EXPLAIN_OUTSIDE] = "outside",
		[EXPLAIN_LINK_LOCAL] = "link-local: a verdict, never an identity",
		[EXPLAIN_INSIDE] = "inside: not governed",
		[EXPLAIN_RESOLVER] = "DNS resolver: not governed",
		[EXPLAIN_UNTOUCHED] = "multicast, broadcast or loopback: not governed",
	};

	return texts[scope];
}

static const char *no_match_text(enum explain_match match)
{
	static const char *const texts[] = {
		[EXPLAIN_OTHER_DESTINATION] = "other destination",
		[EXPLAIN_EXCEPTED] = "excepted",
		[EXPLAIN_OTHER_PORT] = "other port",
	};

	return match == EXPLAIN_MATCHES ? NULL : texts[match];
}

static const char *const role_texts[] = {
	[EXPLAIN_WINS] = "wins",
	[EXPLAIN_TOO_LATE] = "too late",
	[EXPLAIN_PASSES] = "passes",
	[EXPLAIN_PASSED_OVER] = "passed over",
};

const char *explain_verdict_text(const struct explain_line *line)
{
	if (no_match_text(line->match))
		return no_match_text(line->match);
	return line->verdict == EXPLAIN_NOT_ASKED ? "no action" : role_texts[line->verdict];
}

const char *explain_identity_text(const struct explain_line *line)
{
	if (no_match_text(line->match))
		return no_match_text(line->match);
	return line->identity == EXPLAIN_NOT_ASKED ? "no via" : role_texts[line->identity];
}

const char *flat_rule_name(const struct flat_rule *r, char *buf, size_t size)
{
	const struct doc_meta *meta = &r->policy->meta;
	bool cluster = meta->kind == DOC_CLUSTER_EGRESS_POLICY;
	int n = snprintf(buf, size, "%s %s%s%s ", cluster ? "ClusterEgressPolicy" : "EgressPolicy",
			 meta->namespace, cluster ? "" : "/", meta->name);

	if (n < 0 || (size_t)n >= size)
		return buf;
	if (!r->rule)
		snprintf(buf + n, size - (size_t)n, "default");
	else if (r->rule->name)
		snprintf(buf + n, size - (size_t)n, "rule %s", r->rule->name);
	else
		snprintf(buf + n, size - (size_t)n, "rules[%td]", r->rule - r->policy->rules);
	return buf;
}

struct doc_src flat_rule_src(const struct flat_rule *r)
{
	return r->rule ? r->rule->src : r->policy->default_src;
}

const char *policy_step_name(uint8_t step)
{
	static const char *const names[] = {
		[STEP_ADMIN] = "Admin",	      [STEP_PODS] = "Pods",
		[STEP_SERVICES] = "Services", [STEP_DEFAULTS] = "Defaults",
		[STEP_BASELINE] = "Baseline",
	};

	return step < sizeof(names) / sizeof(*names) ? names[step] : "unknown";
}

const char *rule_action_name(enum rule_action action)
{
	static const char *const names[] = {
		[ACTION_NONE] = "",	    [ACTION_ALLOW] = "Allow", [ACTION_DENY] = "Deny",
		[ACTION_REJECT] = "Reject", [ACTION_PASS] = "Pass",
	};

	return names[action];
}
