/* SPDX-License-Identifier: Apache-2.0 */
/* What rules decided on, summed by policy. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reconcile/scrape_priv.h"

/* A rule's counter: "EgressPolicy shop/payments bank", of which all but the last word is its
 * policy. */
struct rule {
	const char *name;
	size_t len; /* of the policy's part */
	uint32_t counter;
};

struct sum {
	char *kind, *namespace, *policy;
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

	return r ? r : x->len < y->len ? -1 : x->len > y->len;
}

/* Those that the kernel has: of policies that are gone, numbers stay known for a while. */
static void rules_list(const struct reconcile *r, struct sums *s)
{
	__cleanup_free bool *held = mem_alloc0(SLU_MAX_COUNTERS * sizeof(*held));

	tables_numbers(r->tables, counter_hold, name_pass, held);
	for (uint32_t i = 1; i < SLU_MAX_COUNTERS; i++) {
		const char *name = held[i] ? numbers_name(r->counters, i) : NULL;
		const char *rule = name ? strrchr(name, ' ') : NULL;

		if (!rule)
			continue;
		MEM_GROW(s->rules, s->n_rules);
		s->rules[s->n_rules++] = (struct rule){name, (size_t)(rule - name), i};
	}
	if (s->n_rules)
		qsort(s->rules, s->n_rules, sizeof(*s->rules), rule_cmp);
}

static struct sum *sum_new(struct sums *s, const struct rule *rule)
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
	*k = (struct sum){
		.kind = kind, .namespace = slash ? policy : NULL, .policy = slash ?: policy};
	return k;
}

static void sums_read(const struct reconcile *r, struct sums *s)
{
	size_t run, read = 0;

	for (size_t i = 0; i < s->n_rules; i += run) {
		struct sum *k;

		for (run = 1;
		     i + run < s->n_rules && same_policy(&s->rules[i], &s->rules[i + run]);)
			run++;
		if (s->n >= SCRAPE_POLICIES || read + run > SCRAPE_COUNTERS) {
			s->left_out++;
			continue;
		}
		read += run;
		k = sum_new(s, &s->rules[i]);
		for (size_t n = 0; n < run; n++) {
			struct slu_hit hit = {0};

			if (bpf_hits(r->k.pins, s->rules[i + n].counter, 1, &hit, NULL) < 0)
				continue;
			k->hit.connections += hit.connections;
			k->hit.packets += hit.packets;
			k->hit.bytes += hit.bytes;
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

	if (!r->tables)
		return;
	rules_list(r, &s);
	sums_read(r, &s);
	for (size_t i = 0; i < s.n; i++)
		metrics_put(t, POLICY_CONNECTIONS, s.list[i].hit.connections, s.list[i].kind,
			    s.list[i].namespace, s.list[i].policy);
	for (size_t i = 0; i < s.n; i++)
		metrics_put(t, POLICY_PACKETS, s.list[i].hit.packets, s.list[i].kind,
			    s.list[i].namespace, s.list[i].policy);
	for (size_t i = 0; i < s.n; i++)
		metrics_put(t, POLICY_BYTES, s.list[i].hit.bytes, s.list[i].kind,
			    s.list[i].namespace, s.list[i].policy);
	metrics_put(t, POLICIES_LEFT_OUT, s.left_out);
}
