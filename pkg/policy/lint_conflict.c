/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules against each other: what a cluster policy decides otherwise for a part of what a
 * namespace's rule says; what leaves by another way than meant while a name is not known.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/explain.h"
#include "policy/lint_priv.h"

static bool is_catch_all(const struct doc_rule *rule)
{
	return !rule || (!rule->n_to && !rule->n_ports);
}

static bool is_deny(enum rule_action a)
{
	return a == ACTION_DENY || a == ACTION_REJECT;
}

static bool contradict(enum rule_action a, enum rule_action b)
{
	return (a == ACTION_ALLOW && is_deny(b)) || (is_deny(a) && b == ACTION_ALLOW);
}

/* ---- Admin against a namespace ---- */

struct clash {
	struct lint_world *w;
	const struct doc_policy *me;
	const struct doc_rule *rule;
	const struct lint_view *admin, *alone;
	const struct flat_rule **told;
	size_t n_told;
};

static bool is_admin_rule(const struct doc_policy *p, const struct doc_rule *rule, void *data)
{
	const struct clash *k = data;
	const struct doc_policy *original = lint_original(k->w, p);

	return p->meta.kind == DOC_CLUSTER_EGRESS_POLICY && p->tier == TIER_ADMIN &&
	       !original->audit && !is_catch_all(rule) && !lint_is_scheduled(k->w, p, rule) &&
	       subjects_meet(k->w->set, original, lint_original(k->w, k->me));
}

static bool is_my_rule(const struct doc_policy *p, const struct doc_rule *rule, void *data)
{
	const struct clash *k = data;

	return p == k->me && rule == k->rule;
}

static void tell_clash(struct clash *k, const struct flat_rule *by, const struct span_pair *at)
{
	char mine[LINT_NAME_LEN], theirs[LINT_NAME_LEN];
	bool single = addr_eq(at->first, at->last);

	for (size_t i = 0; i < k->n_told; i++)
		if (k->told[i]->rule == by->rule)
			return;
	MEM_GROW(k->told, k->n_told);
	k->told[k->n_told++] = by;
	LINT_WARN(k->w->out, "contradiction", k->rule->src,
		  "%s: %s comes first and says %s for a part of it (%s%s%s)",
		  lint_rule_name(k->me, k->rule, mine),
		  lint_rule_name(by->policy, by->rule, theirs),
		  rule_action_name(flat_rule_action(by)), addr_str(at->first), single ? "" : "-",
		  single ? "" : addr_str(at->last));
}

static void clash_pair(const struct span_pair *pair, void *data)
{
	struct clash *k = data;
	struct port_cells a, b;

	if (!pair->a->outside)
		return;
	a = span_cells(k->admin->p, pair->a, NULL, 0);
	b = span_cells(k->alone->p, pair->b, NULL, 0);
	for (size_t i = 0, j = 0; i < a.n && j < b.n;) {
		uint32_t x = i + 1 < a.n ? a.list[i + 1].lo : UINT32_MAX;
		uint32_t y = j + 1 < b.n ? b.list[j + 1].lo : UINT32_MAX;
		uint16_t admin = a.list[i].cell.verdict[STEP_ADMIN];
		bool mine = cell_decide(k->alone->p, &b.list[j].cell).verdict_rule != UINT32_MAX;

		if (mine && admin != CELL_NONE &&
		    contradict(flat_rule_action(k->admin->p->rules[admin]), k->rule->action))
			tell_clash(k, k->admin->p->rules[admin], pair);
		i += x <= y;
		j += y <= x;
	}
	free(a.list);
	free(b.list);
}

static int clash_rule(struct clash *k)
{
	__cleanup(lint_view_done) struct lint_view alone = {0};
	int r = lint_view_init(&alone, k->w, is_my_rule, k);

	if (r < 0)
		return r;
	k->alone = &alone;
	spans_pair(&k->admin->spans, &alone.spans, clash_pair, k);
	free(k->told);
	k->told = NULL;
	k->n_told = 0;
	return 0;
}

/* Is the rule one that lint_hidden has told of? Then there is nothing left of it. */
static bool is_told(const struct lint_world *w, const struct doc_rule *rule)
{
	const struct lint *l = w->out;

	for (size_t i = w->told; i < l->n; i++)
		if (l->list[i].src.line == rule->src.line && l->list[i].src.in == rule->src.in &&
		    (strcmp(l->list[i].check, "hidden-rule") == 0 ||
		     strcmp(l->list[i].check, "behind-pass") == 0))
			return true;
	return false;
}

int lint_contradictions(struct lint_world *w, size_t index)
{
	__cleanup(lint_view_done) struct lint_view admin = {0};
	struct clash k = {.w = w, .me = w->c->policies[index].doc, .admin = &admin};
	int r;

	if (k.me->meta.kind != DOC_EGRESS_POLICY)
		return 0;
	r = lint_view_init(&admin, w, is_admin_rule, &k);
	for (size_t i = 0; r == 0 && admin.b.n && i < k.me->n_rules; i++) {
		k.rule = &k.me->rules[i];
		/* a rule without `to` means the rest, whatever others have said of a part of it */
		if (k.rule->n_to && !is_told(w, k.rule) &&
		    (k.rule->action == ACTION_ALLOW || is_deny(k.rule->action)))
			r = clash_rule(&k);
	}
	return r;
}

/* ---- Pass on everything above a Deny of the same step ---- */

static const struct doc_rule *first_deny(const struct doc_policy *p)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (is_deny(p->rules[i].action))
			return &p->rules[i];
	return NULL;
}

static const struct doc_rule *first_pass(const struct doc_policy *p)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].action == ACTION_PASS && is_catch_all(&p->rules[i]))
			return &p->rules[i];
	return NULL;
}

/* Where the Pass concerns all the Deny's pods, lint_hidden has said so; here: some of them. */
static void pass_above(struct lint_world *w, const struct compiled_policy *a,
		       const struct compiled_policy *b)
{
	const struct doc_policy *x = lint_original(w, a->doc), *y = lint_original(w, b->doc);
	const struct doc_rule *pass = first_pass(a->doc), *deny = first_deny(b->doc);
	char above[LINT_NAME_LEN], name[LINT_NAME_LEN];

	if (!pass || !deny || x->audit || y->audit || subject_covers(w->set, x, y) ||
	    !subjects_meet(w->set, x, y))
		return;
	LINT_WARN(w->out, "behind-pass", deny->src,
		  "%s: it does not hold for pods that %s selects too: that passes on everything, "
		  "and a Pass leaves the step",
		  lint_rule_name(b->doc, deny, name), lint_rule_name(a->doc, pass, above));
}

void lint_passes(struct lint_world *w)
{
	const struct compiled *c = w->c;

	for (size_t i = 0; i < c->n_policies; i++)
		for (size_t k = i + 1; first_pass(c->policies[i].doc) && k < c->n_policies &&
				       c->policies[k].step == c->policies[i].step;
		     k++)
			pass_above(w, &c->policies[i], &c->policies[k]);
}

/* ---- a via for what is not known (yet), while the default is Allow ---- */

struct gap {
	struct lint_world *w;
	const struct doc_policy *me;
};

static bool is_for_all_of_me(const struct doc_policy *p, const struct doc_rule *rule, void *data)
{
	const struct gap *g = data;
	const struct doc_policy *original = lint_original(g->w, p);

	if (lint_is_scheduled(g->w, p, rule))
		return false;
	return p == g->me || (!original->audit &&
			      subject_covers(g->w->set, original, lint_original(g->w, g->me)));
}

static const char *not_known(const struct doc_rule *rule)
{
	for (size_t i = 0; i < rule->n_to; i++) {
		if (rule->to[i].kind == TO_FQDN)
			return rule->to[i].fqdn;
		if (rule->to[i].kind == TO_DESTINATION)
			return rule->to[i].destination;
		if (rule->to[i].kind == TO_DESTINATION_SELECTOR)
			return "destinations by label";
	}
	return NULL;
}

static bool wants_port(const struct doc_rule *rule, uint32_t lo, uint32_t hi)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		if (rule->ports[i].lo <= hi && rule->ports[i].hi >= lo)
			return true;
	return rule->n_ports == 0;
}

/* Allowed as whoever, because of no rule that means this destination. */
static bool leaks(const struct program *p, const struct cell *cell)
{
	struct decision d = cell_decide(p, cell);

	return d.verdict == VERDICT_ALLOW && d.identity_rule == UINT32_MAX &&
	       (d.verdict_rule == UINT32_MAX || p->rules[d.verdict_rule]->to_all);
}

static bool is_open(const struct lint_view *v, const struct doc_rule *rule)
{
	size_t n = 0;
	__cleanup_free const struct span **kinds = lint_view_kinds(v, &n);
	bool open = false;

	for (size_t i = 0; !open && i < n; i++) {
		struct port_cells cells = span_cells(v->p, kinds[i], NULL, 0);

		for (size_t k = 0; !open && k < cells.n; k++)
			open = wants_port(rule, cells.list[k].lo,
					  k + 1 < cells.n ? cells.list[k + 1].lo - 1 : L4_MAX) &&
			       leaks(v->p, &cells.list[k].cell);
		free(cells.list);
	}
	return open;
}

int lint_open_names(struct lint_world *w, size_t index)
{
	__cleanup(lint_view_done) struct lint_view v = {0};
	struct gap g = {w, w->c->policies[index].doc};
	char name[LINT_NAME_LEN];
	int r = 0;

	for (size_t i = 0; r == 0 && i < g.me->n_rules; i++) {
		const struct doc_rule *rule = &g.me->rules[i];

		if (rule->via.kind != VIA_GATEWAY || !not_known(rule) || is_deny(rule->action) ||
		    lint_original(w, g.me)->audit)
			continue;
		if (!v.p)
			r = lint_view_init(&v, w, is_for_all_of_me, &g);
		if (r == 0 && is_open(&v, rule))
			lint_add(
				w->out,
				(struct lint_finding){.level = LINT_ERROR,
						      .check = "open-name",
						      .src = rule->src},
				"%s: as long as '%s' is not known, its traffic leaves as the node: "
				"a via for it needs a default that denies",
				lint_rule_name(g.me, rule, name), not_known(rule));
	}
	return r;
}
