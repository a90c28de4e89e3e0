/* SPDX-License-Identifier: Apache-2.0 */
/* What rules decided on, summed by policy and action. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/explain.h"
#include "reconcile/counters.h"
#include "reconcile/scrape_priv.h"

/* A rule's counter: "EgressPolicy shop/payments bank", of which all but the last word is its
 * policy. */
struct rule {
	const char *name;
	size_t len; /* of the policy's part */
	uint32_t counter;
	const char *action;
};

struct sum {
	char *kind, *namespace, *policy;
	const char *action;
	struct slu_hit hit;
};

struct sums {
	struct rule *rules;
	size_t n_rules;
	struct sum *list;
	size_t n, left_out;
};

static void counter_hold(uint32_t n, void *data)
{
	if (n < SLU_MAX_COUNTERS)
		((bool *)data)[n] = true;
}

static void name_pass(uint32_t n, void *data)
{
}

static bool same_policy(const struct rule *a, const struct rule *b)
{
	return a->len == b->len && memcmp(a->name, b->name, a->len) == 0;
}

static int rule_cmp(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int r = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

	if (r || x->len != y->len)
		return r ? r : x->len < y->len ? -1 : 1;
	return strcmp(x->action, y->action);
}

/* ---- what a counter's rule does ---- */

static const char *action_of(const struct flat_rule *f)
{
	return rule_action_name(f->rule ? f->rule->action : f->policy->default_action);
}

static void policy_learn(const struct reconcile *r, uint32_t policy, const char **actions)
{
	const struct flat_rule *rules;
	size_t n;

	rules = compiled_policy_rules(r->compiled, policy, &n);
	for (size_t i = 0; i < n; i++) {
		__cleanup_free char *name = counter_name(&rules[i]);

		actions[numbers_find(r->counters, name)] = action_of(&rules[i]);
	}
}

/* By counter, of all policies that pods have; "" of those that are in the kernel still. */
static const char **actions_learn(const struct reconcile *r)
{
	const char **actions = mem_alloc0(SLU_MAX_COUNTERS * sizeof(*actions));
	__cleanup_free bool *done = mem_alloc0(compiled_policy_count(r->compiled) + 1);

	for (size_t i = 0; i < r->n_progs; i++) {
		const struct binding *b = &r->progs[i].binding;

		for (size_t k = 0; k < b->n; k++) {
			if (!done[b->policies[k]])
				policy_learn(r, b->policies[k], actions);
			done[b->policies[k]] = true;
		}
	}
	for (size_t i = 0; i < SLU_MAX_COUNTERS; i++)
		actions[i] = actions[i] ?: "";
	return actions;
}

/* Those that the kernel has: of policies that are gone, numbers stay known for a while. */
static void rules_list(const struct reconcile *r, struct sums *s)
{
	__cleanup_free bool *held = mem_alloc0(SLU_MAX_COUNTERS * sizeof(*held));
	__cleanup_free const char **actions = actions_learn(r);

	tables_numbers(r->tables, counter_hold, name_pass, held);
	for (uint32_t i = 1; i < SLU_MAX_COUNTERS; i++) {
		const char *name = held[i] ? numbers_name(r->counters, i) : NULL;
		const char *rule = name ? strrchr(name, ' ') : NULL;

		if (!rule)
			continue;
		MEM_GROW(s->rules, s->n_rules);
		s->rules[s->n_rules++] = (struct rule){name, (size_t)(rule - name), i, actions[i]};
	}
	if (s->n_rules)
		qsort(s->rules, s->n_rules, sizeof(*s->rules), rule_cmp);
}

static void sum_new(struct sums *s, const struct rule *rule)
{
	char *kind = mem_printf("%.*s", (int)rule->len, rule->name), *policy, *slash;
	struct sum *k;

	policy = strchr(kind, ' ');
	if (policy)
		*policy++ = '\0';
	slash = policy ? strchr(policy, '/') : NULL;
	if (slash)
		*slash++ = '\0';
	MEM_GROW(s->list, s->n);
	k = &s->list[s->n++];
	*k = (struct sum){.kind = kind,
			  .namespace = slash ? policy : NULL,
			  .policy = slash ?: policy,
			  .action = rule->action};
}

static void sum_read(const struct reconcile *r, struct sums *s, const struct rule *rule)
{
	struct sum *k = &s->list[s->n - 1];
	struct slu_hit hit = {0};

	if (bpf_hits(r->k.pins, rule->counter, 1, &hit, NULL) < 0)
		return;
	k->hit.connections += hit.connections;
	k->hit.packets += hit.packets;
	k->hit.bytes += hit.bytes;
}

/* A policy is told whole, or not at all. */
static void sums_read(const struct reconcile *r, struct sums *s)
{
	size_t run, read = 0, told = 0;

	for (size_t i = 0; i < s->n_rules; i += run) {
		for (run = 1;
		     i + run < s->n_rules && same_policy(&s->rules[i], &s->rules[i + run]);)
			run++;
		if (told >= SCRAPE_POLICIES || read + run > SCRAPE_COUNTERS) {
			s->left_out++;
			continue;
		}
		told++;
		read += run;
		for (size_t n = i; n < i + run; n++) {
			if (n == i || strcmp(s->rules[n].action, s->rules[n - 1].action) != 0)
				sum_new(s, &s->rules[n]);
			sum_read(r, s, &s->rules[n]);
		}
	}
}

static void sums_done(struct sums *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->list[i].kind);
	free(s->list);
	free(s->rules);
}

void scrape_policies(const struct reconcile *r, struct metrics_text *t)
{
	__cleanup(sums_done) struct sums s = {0};

	if (!r->tables || !r->compiled)
		return;
	rules_list(r, &s);
	sums_read(r, &s);
	for (size_t i = 0; i < s.n; i++)
		metrics_put(t, POLICY_CONNECTIONS, s.list[i].hit.connections, s.list[i].kind,
			    s.list[i].namespace, s.list[i].policy, s.list[i].action);
	for (size_t i = 0; i < s.n; i++)
		metrics_put(t, POLICY_PACKETS, s.list[i].hit.packets, s.list[i].kind,
			    s.list[i].namespace, s.list[i].policy, s.list[i].action);
	for (size_t i = 0; i < s.n; i++)
		metrics_put(t, POLICY_BYTES, s.list[i].hit.bytes, s.list[i].kind,
			    s.list[i].namespace, s.list[i].policy, s.list[i].action);
	metrics_put(t, POLICIES_LEFT_OUT, s.left_out);
}
