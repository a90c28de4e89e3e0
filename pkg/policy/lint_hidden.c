/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that never say anything: for every pod that they select, for every outside address
 * and port, an earlier rule has spoken; or there is no such address and port.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/explain.h"
#include "policy/lint_priv.h"

#define MAX_NAMED 3 /* of the rules that hide one */

struct search {
	struct lint_world *w;
	const struct doc_policy *me; /* of bare */
	bool *covers;		     /* by place in copies: selects whatever me selects */
	const struct doc_rule *only; /* of my scheduled rules, the one that is looked at */
	bool *verdict, *via; /* by place of the rule, the default block last: says something */
};

static void search_done(struct search *s)
{
	free(s->covers);
	free(s->verdict);
	free(s->via);
}

static size_t place_of(const struct search *s, const struct doc_rule *rule)
{
	return rule ? (size_t)(rule - s->me->rules) : s->me->n_rules;
}

/* What holds at some times only hides nothing, but may be hidden. */
static bool is_in_force(const struct doc_policy *p, const struct doc_rule *rule, void *data)
{
	const struct search *s = data;

	if (p != s->me && !s->covers[p - s->w->copies])
		return false;
	return !lint_is_scheduled(s->w, p, rule) || (rule && rule == s->only);
}

static bool is_mine(const struct search *s, const struct flat_rule *r)
{
	return r->policy == s->me;
}

static void mark_cell(struct search *s, const struct program *p, const struct cell *cell)
{
	for (size_t step = 0; step < CELL_STEPS; step++) {
		const struct flat_rule *r;

		if (cell->verdict[step] == CELL_NONE)
			continue;
		r = p->rules[cell->verdict[step]];
		if (is_mine(s, r))
			s->verdict[place_of(s, r->rule)] = true;
		if (flat_rule_action(r) != ACTION_PASS)
			break;
	}
	if (cell->identity != CELL_NONE && is_mine(s, p->rules[cell->identity]))
		s->via[place_of(s, p->rules[cell->identity]->rule)] = true;
}

static void mark_span(struct search *s, const struct program *p, const struct span *span,
		      const uint32_t *name)
{
	struct port_cells cells = span_cells(p, span, name, name ? 1 : 0);

	for (size_t i = 0; i < cells.n; i++)
		mark_cell(s, p, &cells.list[i].cell);
	free(cells.list);
}

/* The more names an address has, the fewer rules speak: one at a time shows them all. */
static void mark(struct search *s, const struct lint_view *v)
{
	size_t n = 0;
	__cleanup_free const struct span **kinds = lint_view_kinds(v, &n);

	for (size_t i = 0; i < n; i++) {
		mark_span(s, v->p, kinds[i], NULL);
		for (size_t k = 0; k < v->p->n_names; k++)
			mark_span(s, v->p, kinds[i], &v->p->names[k].index);
	}
}

/* ---- why a rule says nothing ---- */

struct reason {
	const struct search *s;
	const struct lint_view *all, *alone; /* alone: this rule and no other */
	const uint32_t *name;		     /* that the addresses are known under, or NULL */
	bool verdict;			     /* asked is for the verdict, else for the via */
	bool anywhere, outside;		     /* where the rule matches */
	const struct flat_rule *by[MAX_NAMED];
	size_t n_by;
	bool more, pass;
};

static uint16_t first_verdict(const struct cell *cell)
{
	for (size_t step = 0; step < CELL_STEPS; step++)
		if (cell->verdict[step] != CELL_NONE)
			return cell->verdict[step];
	return CELL_NONE;
}

static bool matches(const struct reason *r, const struct cell *alone)
{
	return (r->verdict ? first_verdict(alone) : alone->identity) != CELL_NONE;
}

/* Who spoke instead, in the step of the rule or before. */
static const struct flat_rule *winner(const struct reason *r, const struct cell *all, uint8_t step)
{
	const struct program *p = r->all->p;

	if (!r->verdict)
		return all->identity == CELL_NONE ? NULL : p->rules[all->identity];
	for (size_t i = 0; i <= step; i++) {
		const struct flat_rule *w;

		if (all->verdict[i] == CELL_NONE)
			continue;
		w = p->rules[all->verdict[i]];
		if (i == step || flat_rule_action(w) != ACTION_PASS)
			return w;
	}
	return NULL;
}

static void add_winner(struct reason *r, const struct flat_rule *w)
{
	for (size_t i = 0; i < r->n_by; i++)
		if (r->by[i]->policy == w->policy && r->by[i]->rule == w->rule)
			return;
	r->pass = r->pass || flat_rule_action(w) == ACTION_PASS;
	if (r->n_by == MAX_NAMED)
		r->more = true;
	else
		r->by[r->n_by++] = w;
}

static void ask_ports(struct reason *r, const struct port_cells *all,
		      const struct port_cells *alone)
{
	for (size_t i = 0, k = 0; i < all->n && k < alone->n;) {
		uint32_t x = i + 1 < all->n ? all->list[i + 1].lo : UINT32_MAX;
		uint32_t y = k + 1 < alone->n ? alone->list[k + 1].lo : UINT32_MAX;

		if (matches(r, &alone->list[k].cell)) {
			const struct flat_rule *w = winner(r, &all->list[i].cell,
							   r->alone->p->rules[0]->step);

			if (w)
				add_winner(r, w);
		}
		i += x <= y;
		k += y <= x;
	}
}

static void ask_pair(const struct span_pair *pair, void *data)
{
	struct reason *r = data;
	size_t n = r->name ? 1 : 0;
	struct port_cells alone = span_cells(r->alone->p, pair->b, r->name, n);
	bool found = false;

	for (size_t i = 0; !found && i < alone.n; i++)
		found = matches(r, &alone.list[i].cell);
	if (found) {
		r->anywhere = true;
		if (pair->b->outside) {
			struct port_cells all = span_cells(r->all->p, pair->a, r->name, n);

			r->outside = true;
			ask_ports(r, &all, &alone);
			free(all.list);
		}
	}
	free(alone.list);
}

static void ask(struct reason *r)
{
	const struct program *p = r->alone->p;

	r->name = NULL;
	spans_pair(&r->all->spans, &r->alone->spans, ask_pair, r);
	for (size_t i = 0; i < p->n_names && !r->more; i++) {
		r->name = &p->names[i].index;
		spans_pair(&r->all->spans, &r->alone->spans, ask_pair, r);
	}
}

/* ---- telling ---- */

static char *winners_text(const struct reason *r)
{
	char *text = mem_strdup("");

	for (size_t i = 0; i < r->n_by; i++) {
		char name[LINT_NAME_LEN];
		char *longer = mem_printf("%s%s%s", text, i ? ", " : "",
					  lint_rule_name(r->by[i]->policy, r->by[i]->rule, name));

		free(text);
		text = longer;
	}
	return text;
}

static struct doc_src place(const struct search *s, const struct doc_rule *rule)
{
	return rule ? rule->src : s->me->default_src;
}

static const char *what_is_hidden(const struct reason *r, const struct doc_rule *rule)
{
	bool action = rule ? rule->action != ACTION_NONE : r->s->me->default_action != ACTION_NONE;
	enum via_kind via = rule ? rule->via.kind : r->s->me->default_via.kind;

	if (action && via != VIA_NONE)
		return r->verdict ? "its action never decides" : "its via is never taken";
	return "it never decides";
}

static void tell(const struct reason *r, const struct doc_rule *rule)
{
	__cleanup_free char *by = winners_text(r);
	char name[LINT_NAME_LEN];

	lint_rule_name(r->s->me, rule, name);
	if (r->outside && r->n_by)
		LINT_WARN(r->s->w->out, r->pass ? "behind-pass" : "hidden-rule", place(r->s, rule),
			  "%s: %s: %s%s before it speak%s for all it matches%s", name,
			  what_is_hidden(r, rule), by, r->more ? " and others" : "",
			  r->n_by > 1 ? "" : "s", r->pass ? ", and a Pass leaves the step" : "");
	else if (r->anywhere && !r->outside)
		LINT_WARN(r->s->w->out, "inside-rule", place(r->s, rule),
			  "%s: it never matches: its destinations lie inside, which Sluice never "
			  "touches",
			  name);
	else if (!r->anywhere)
		LINT_WARN(r->s->w->out, "empty-rule", place(r->s, rule),
			  "%s: it never matches: no destination of it has a port that the rule has",
			  name);
}

/* What is not there (yet) is told elsewhere, or not known here. */
static bool depends_on_others(const struct doc_rule *rule)
{
	for (size_t i = 0; rule && i < rule->n_to; i++)
		if (rule->to[i].kind == TO_NODES || rule->to[i].kind == TO_DESTINATION_SELECTOR)
			return true;
	return false;
}

static bool names_missing(const struct search *s, const struct doc_rule *rule)
{
	for (size_t i = 0; rule && i < rule->n_to; i++) {
		const struct doc_to *to = &rule->to[i];
		bool found = to->kind != TO_DESTINATION;

		for (size_t k = 0; !found && k < s->w->set->n_destinations; k++) {
			const struct doc_meta *m = &s->w->set->destinations[k].meta;

			found = strcmp(m->name, to->destination) == 0 &&
				strcmp(m->namespace,
				       to->cluster_scope ? "" : s->me->meta.namespace) == 0;
		}
		if (!found)
			return true;
	}
	return false;
}

struct one {
	const struct doc_policy *policy;
	const struct doc_rule *rule;
};

static bool is_the_one(const struct doc_policy *p, const struct doc_rule *rule, void *data)
{
	const struct one *one = data;

	return p == one->policy && rule == one->rule;
}

static int explain_hidden(struct search *s, const struct lint_view *all,
			  const struct doc_rule *rule, bool verdict)
{
	__cleanup(lint_view_done) struct lint_view alone = {0};
	struct one one = {s->me, rule};
	struct reason r = {.s = s, .all = all, .alone = &alone, .verdict = verdict};
	int rc = lint_view_init(&alone, s->w, is_the_one, &one);

	if (rc < 0)
		return rc;
	ask(&r);
	if (r.anywhere || !(depends_on_others(rule) || names_missing(s, rule)))
		tell(&r, rule);
	return 0;
}

/* ---- the check ---- */

static int check_rule(struct search *s, const struct lint_view *all, size_t i)
{
	const struct doc_rule *rule = i < s->me->n_rules ? &s->me->rules[i] : NULL;
	bool action = rule ? rule->action != ACTION_NONE : s->me->default_action != ACTION_NONE;
	bool via = (rule ? rule->via.kind : s->me->default_via.kind) != VIA_NONE;
	bool dead = action && !s->verdict[i], unused = via && !s->via[i];

	/* an action that never decides says it all, but for a via that does count */
	if (dead && (!via || unused))
		return explain_hidden(s, all, rule, true);
	if (dead || (unused && !action))
		return explain_hidden(s, all, rule, dead);
	return unused ? explain_hidden(s, all, rule, false) : 0;
}

static int check(struct search *s, bool scheduled)
{
	__cleanup(lint_view_done) struct lint_view v = {0};
	size_t n = s->me->n_rules;
	int r = lint_view_init(&v, s->w, is_in_force, s);

	if (r < 0)
		return r;
	memset(s->verdict, 0, n + 1);
	memset(s->via, 0, n + 1);
	mark(s, &v);
	for (size_t i = 0; r == 0 && i < n + s->me->has_default; i++) {
		const struct doc_rule *rule = i < n ? &s->me->rules[i] : NULL;

		if (scheduled ? rule && rule == s->only : !lint_is_scheduled(s->w, s->me, rule))
			r = check_rule(s, &v, i);
	}
	return r;
}

int lint_hidden(struct lint_world *w, size_t index)
{
	const struct doc_policy *me = w->c->policies[index].doc;
	__cleanup(search_done) struct search s = {
		.w = w,
		.me = me,
		.covers = mem_alloc0(w->set->n_policies + 1),
		.verdict = mem_alloc0(me->n_rules + 1),
		.via = mem_alloc0(me->n_rules + 1),
	};
	int r;

	for (size_t i = 0; i < w->n_near; i++) {
		const struct doc_policy *bare = w->c->policies[w->near[i]].doc;
		const struct doc_policy *p = lint_original(w, bare);

		s.covers[bare - w->copies] = !p->audit &&
					     subject_covers(w->set, p, lint_original(w, me));
	}
	r = check(&s, false);
	for (size_t i = 0; r == 0 && i < me->n_rules; i++)
		if (lint_is_scheduled(w, me, &me->rules[i])) {
			s.only = &me->rules[i];
			r = check(&s, true);
		}
	return r;
}
