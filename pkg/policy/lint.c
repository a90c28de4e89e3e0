/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/explain.h"
#include "policy/lint_priv.h"
#include "policy/missing.h"
#include "policy/schedule.h"

void lint_add(struct lint *l, struct lint_finding what, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what.text, fmt, ap) < 0)
		oom();
	va_end(ap);
	MEM_GROW(l->list, l->n);
	l->list[l->n++] = what;
}

void lint_done(struct lint *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i].text);
	free(l->list);
	*l = (struct lint){0};
}

const char *lint_rule_name(const struct doc_policy *p, const struct doc_rule *rule,
			   char buf[LINT_NAME_LEN])
{
	const struct flat_rule r = {.policy = p, .rule = rule};

	return flat_rule_name(&r, buf, LINT_NAME_LEN);
}

static const char *policy_name(const struct doc_policy *p, char buf[LINT_NAME_LEN])
{
	bool cluster = p->meta.kind == DOC_CLUSTER_EGRESS_POLICY;

	snprintf(buf, LINT_NAME_LEN, "%sEgressPolicy %s%s%s", cluster ? "Cluster" : "",
		 p->meta.namespace, cluster ? "" : "/", p->meta.name);
	return buf;
}

/* ---- objects ---- */

static void check_missing(struct lint *l, const struct doc_set *set)
{
	__cleanup_free struct missing *list = NULL;
	size_t n = 0;

	policy_missing(set, &list, &n);
	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *text = missing_text(&list[i]);
		char name[LINT_NAME_LEN];

		LINT_WARN(l, "missing", list[i].src, "%s: %s", policy_name(list[i].policy, name),
			  text);
	}
}

static bool to_names(const struct doc_policy *p, const struct doc_to *to,
		     const struct doc_destination *d)
{
	if (strcmp(d->meta.namespace, to->cluster_scope ? "" : p->meta.namespace) != 0)
		return false;
	if (to->kind == TO_DESTINATION)
		return strcmp(to->destination, d->meta.name) == 0;
	return to->kind == TO_DESTINATION_SELECTOR &&
	       selector_matches(&to->destinations, &d->meta.labels);
}

static void check_unused(struct lint *l, const struct doc_set *set)
{
	__cleanup_free bool *used = mem_alloc0(set->n_destinations + 1);

	for (size_t i = 0; i < set->n_policies; i++)
		for (size_t k = 0; k < set->policies[i]->n_rules; k++)
			for (size_t t = 0; t < set->policies[i]->rules[k].n_to; t++)
				for (size_t d = 0; d < set->n_destinations; d++)
					used[d] = used[d] ||
						  to_names(set->policies[i],
							   &set->policies[i]->rules[k].to[t],
							   &set->destinations[d]);
	for (size_t d = 0; d < set->n_destinations; d++) {
		const struct doc_meta *m = &set->destinations[d].meta;
		bool cluster = m->kind == DOC_CLUSTER_EGRESS_DESTINATION;

		if (!used[d])
			LINT_WARN(l, "unused-destination", m->src,
				  "%sEgressDestination %s%s%s: no rule names it",
				  cluster ? "Cluster" : "", m->namespace, cluster ? "" : "/",
				  m->name);
	}
}

/* ---- one policy by itself ---- */

static void check_effect(struct lint *l, const struct doc_policy *p)
{
	char name[LINT_NAME_LEN];

	if (!p->n_rules && !p->has_default)
		LINT_WARN(l, "no-effect", p->meta.src,
			  "%s: no rules and no default: it has no effect", policy_name(p, name));
}

static void check_schedule(struct lint *l, const struct doc_policy *p, const struct doc_rule *rule,
			   int64_t now)
{
	const struct doc_schedule *s = rule->schedule;
	char name[LINT_NAME_LEN];

	if (!s || schedule_active(s, now) || schedule_next_edge(s, now) != INT64_MAX)
		return;
	LINT_WARN(l, "past-schedule", rule->src, "%s: %s", lint_rule_name(p, rule, name),
		  now >= s->end_at ? "its schedule is over: endAt has passed"
				   : "its schedule never holds: no window lies between startAt and "
				     "endAt");
}

/* ---- names that may share an address ---- */

struct name_use {
	const char *name;
	const struct doc_rule *rule;
};

static size_t names_of(const struct doc_policy *p, struct name_use **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_rules; i++)
		for (size_t k = 0; k < p->rules[i].n_to; k++)
			if (p->rules[i].to[k].kind == TO_FQDN) {
				MEM_GROW(*ret, n);
				(*ret)[n++] = (struct name_use){p->rules[i].to[k].fqdn,
								&p->rules[i]};
			}
	return n;
}

/* The last two labels: whoever runs the one name most often runs the other. */
static const char *domain_of(const char *name)
{
	size_t n = strlen(name);
	int dots = 0;

	while (n > 0 && (name[n - 1] != '.' || ++dots < 2))
		n--;
	return name + n;
}

static bool ports_meet(const struct doc_rule *a, const struct doc_rule *b)
{
	for (size_t i = 0; i < a->n_ports; i++)
		for (size_t k = 0; k < b->n_ports; k++)
			if (a->ports[i].lo <= b->ports[k].hi && b->ports[k].lo <= a->ports[i].hi)
				return true;
	return !a->n_ports || !b->n_ports;
}

static bool is_allow(const struct doc_rule *r)
{
	return r->action == ACTION_ALLOW;
}

static bool is_deny(const struct doc_rule *r)
{
	return r->action == ACTION_DENY || r->action == ACTION_REJECT;
}

static void check_names(struct lint *l, const struct doc_policy *p)
{
	__cleanup_free struct name_use *uses = NULL;
	size_t n = names_of(p, &uses);
	char name[LINT_NAME_LEN], other[LINT_NAME_LEN];

	for (size_t i = 1; i < n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct doc_rule *a = uses[k].rule, *b = uses[i].rule;

			if (!((is_allow(a) && is_deny(b)) || (is_deny(a) && is_allow(b))) ||
			    strcmp(uses[i].name, uses[k].name) == 0 || !ports_meet(a, b) ||
			    strcmp(domain_of(uses[i].name), domain_of(uses[k].name)) != 0)
				continue;
			LINT_WARN(l, "shared-address", b->src,
				  "%s: '%s' and '%s' of %s may have one address (a CDN): there the "
				  "order of the rules decides",
				  lint_rule_name(p, b, name), uses[i].name, uses[k].name,
				  lint_rule_name(p, a, other));
			break; /* once for each name is enough */
		}
}

static void check_policies(struct lint *l, const struct doc_set *set, int64_t now)
{
	for (size_t i = 0; i < set->n_policies; i++) {
		const struct doc_policy *p = set->policies[i];

		check_effect(l, p);
		check_names(l, p);
		for (size_t k = 0; k < p->n_rules; k++)
			check_schedule(l, p, &p->rules[k], now);
	}
}

/* ---- all policies, by their programs ---- */

static void world_init(struct lint_world *w)
{
	const struct doc_set *set = w->set;

	w->bare = *set;
	w->copies = mem_alloc0(set->n_policies * sizeof(*w->copies));
	w->bare.policies = mem_alloc0(set->n_policies * sizeof(*w->bare.policies));
	for (size_t i = 0; i < set->n_policies; i++) {
		struct doc_policy *p = w->bare.policies[i] = &w->copies[i];

		*p = *set->policies[i];
		p->rules = mem_dup(p->rules, p->n_rules * sizeof(*p->rules));
		p->nodes = (struct selector){0};
		p->audit = false;
		for (size_t k = 0; k < p->n_rules; k++)
			p->rules[k].schedule = NULL;
	}
}

static void world_done(struct lint_world *w)
{
	compiled_free(w->c);
	free(w->near);
	free(w->anchors);
	for (size_t i = 0; i < w->bare.n_policies; i++)
		free(w->copies[i].rules);
	free(w->copies);
	free(w->bare.policies);
}

static int check_programs(struct lint *l, const struct doc_set *set, const struct node_view *node,
			  struct err *e)
{
	__cleanup(world_done) struct lint_world w = {.set = set, .out = l, .why = e};
	int r;

	world_init(&w);
	r = policy_compile(&w.bare, node, &w.c, e);
	if (r < 0)
		return r;
	lint_anchors_init(&w);
	for (size_t i = 0; r == 0 && i < w.c->n_policies; i++) {
		lint_near(&w, i);
		w.told = l->n;
		r = lint_hidden(&w, i);
		if (r == 0)
			r = lint_contradictions(&w, i);
		if (r == 0)
			r = lint_open_names(&w, i);
	}
	if (r < 0)
		return r;
	lint_passes(&w);
	return 0;
}

static int cmp_findings(const void *a, const void *b)
{
	const struct lint_finding *x = a, *y = b;
	int c = strcmp(doc_src_file(&x->src) ?: "", doc_src_file(&y->src) ?: "");

	if (c == 0)
		c = doc_src_line(&x->src) - doc_src_line(&y->src);
	if (c == 0)
		c = strcmp(x->check, y->check);
	return c ? c : strcmp(x->text, y->text);
}

int policy_lint(const struct doc_set *set, const struct node_view *node, struct lint *ret,
		struct err *e)
{
	int r;

	*ret = (struct lint){0};
	check_missing(ret, set);
	check_unused(ret, set);
	check_policies(ret, set, node->now);
	r = check_programs(ret, set, node, e);
	if (r < 0) {
		lint_done(ret);
		return r;
	}
	if (ret->n)
		qsort(ret->list, ret->n, sizeof(*ret->list), cmp_findings);
	return 0;
}
