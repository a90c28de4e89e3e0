/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of a choice of rules: what a check on many rules is read off. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/lint_priv.h"

const struct doc_policy *lint_original(const struct lint_world *w, const struct doc_policy *p)
{
	return w->set->policies[p - w->copies];
}

bool lint_is_scheduled(const struct lint_world *w, const struct doc_policy *p,
		       const struct doc_rule *rule)
{
	return rule && lint_original(w, p)->rules[rule - p->rules].schedule;
}

static void choose_rules(struct compiled_policy *to, const struct compiled_policy *from,
			 lint_choice_fn *choice, void *data)
{
	to->rules = NULL;
	to->n_rules = 0;
	for (size_t i = 0; i < from->n_rules; i++)
		if (choice(from->doc, from->rules[i].rule, data)) {
			MEM_GROW(to->rules, to->n_rules);
			to->rules[to->n_rules++] = from->rules[i];
		}
}

/* Only what is chosen: a program of a few policies costs as much as those. */
int lint_view_init(struct lint_view *v, const struct lint_world *w, lint_choice_fn *choice,
		   void *data)
{
	struct compiled_policy *list = NULL;
	size_t n = 0;
	int r;

	*v = (struct lint_view){.some = *w->c};
	for (size_t i = 0; i < w->n_near; i++) {
		struct compiled_policy p = w->c->policies[w->near[i]];

		choose_rules(&p, &w->c->policies[w->near[i]], choice, data);
		if (!p.n_rules)
			continue;
		MEM_GROW(list, n);
		list[n++] = p;
		MEM_GROW(v->b.policies, v->b.n);
		v->b.policies[v->b.n] = (uint32_t)v->b.n;
		v->b.n++;
	}
	v->some.policies = list;
	v->some.n_policies = n;
	v->b.key = 1;
	r = policy_flatten(&v->some, &v->b, &v->p);
	if (r == -E2BIG)
		policy_too_large(&v->some, &v->b, w->why);
	if (r == 0)
		v->spans = program_spans(v->p, &v->some);
	return r;
}

void lint_view_done(struct lint_view *v)
{
	for (size_t i = 0; i < v->b.n; i++)
		free(v->some.policies[i].rules);
	free(v->some.policies);
	binding_done(&v->b);
	program_free(v->p);
	free(v->spans.list);
	*v = (struct lint_view){0};
}

/* ---- spans that have the same answers ---- */

struct kind_of_span {
	uint64_t key; /* class and sets */
	const struct span *span;
};

static int cmp_kinds(const void *a, const void *b)
{
	const struct kind_of_span *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->span < y->span ? -1 : x->span > y->span;
}

const struct span **lint_view_kinds(const struct lint_view *v, size_t *ret_n)
{
	__cleanup_free struct kind_of_span *kinds = mem_resize(NULL, v->spans.n, sizeof(*kinds));
	const struct span **list = NULL;
	size_t n = 0;

	*ret_n = 0;
	for (size_t i = 0; i < v->spans.n; i++) {
		const struct span *s = &v->spans.list[i];

		if (s->outside)
			kinds[n++] = (struct kind_of_span){(uint64_t)s->class << 16 | s->sets, s};
	}
	if (n)
		qsort(kinds, n, sizeof(*kinds), cmp_kinds);
	for (size_t i = 0; i < n; i++) {
		if (i && kinds[i].key == kinds[i - 1].key)
			continue;
		MEM_GROW(list, *ret_n);
		list[(*ret_n)++] = kinds[i].span;
	}
	return list;
}
