/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each rule that is in the kernel has a counter, known by the rule's name, so that an
 * edit or a restart does not lose what was counted.
 */
#include "reconcile/counters.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "reconcile/priv.h"

int counters_open(struct reconcile *r, struct err *e)
{
	int rc = numbers_load(journal_state_dirfd(r->journal), COUNTERS_FILE, SLU_MAX_COUNTERS,
			      &r->counters, e);

	if (rc != -EBADMSG)
		return rc;
	log_warn("counters of rules not read, new ones are given out", "error=%s",
		 log_quote(e->msg));
	r->counters = numbers_new(COUNTERS_FILE, SLU_MAX_COUNTERS);
	return 0;
}

char *counter_name(const struct flat_rule *rule)
{
	const struct doc_meta *m = &rule->policy->meta;
	bool cluster = m->kind == DOC_CLUSTER_EGRESS_POLICY;
	const char *kind = cluster ? "ClusterEgressPolicy " : "EgressPolicy ";
	const char *namespace = cluster ? "" : m->namespace, *slash = cluster ? "" : "/";

	if (!rule->rule)
		return mem_printf("%s%s%s%s #default", kind, namespace, slash, m->name);
	if (rule->rule->name)
		return mem_printf("%s%s%s%s %s", kind, namespace, slash, m->name, rule->rule->name);
	return mem_printf("%s%s%s%s #%zu", kind, namespace, slash, m->name,
			  (size_t)(rule->rule - rule->policy->rules));
}

/* 0 = none is free, or it still holds what another rule counted. */
static uint32_t counter_get(struct reconcile *r, const struct flat_rule *rule)
{
	__cleanup_free char *name = counter_name(rule);
	uint32_t at = 0;
	int rc = numbers_get(r->counters, name, &at);

	if (rc == -ENOSPC)
		r->counters_short = true;
	return rc >= 0 && (rc == 0 || bpf_hits_reset(r->k.pins, at, NULL) == 0) ? at : 0;
}

uint32_t *counters_get(struct reconcile *r, const struct program *p)
{
	uint32_t *list = mem_alloc0(p->n_rules * sizeof(*list));

	for (size_t i = 0; i < p->n_rules; i++)
		if (i && p->rules[i]->rule == p->rules[i - 1]->rule &&
		    p->rules[i]->policy == p->rules[i - 1]->policy)
			list[i] = list[i - 1]; /* one rule of a document in several parts */
		else
			list[i] = counter_get(r, p->rules[i]);
	return list;
}

static void counter_hold(uint32_t n, void *data)
{
	numbers_hold(((struct reconcile *)data)->counters, n);
}

static void name_pass(uint32_t n, void *data)
{
}

void counters_sweep(struct reconcile *r)
{
	if (!r->counters_short)
		return;
	numbers_begin(r->counters);
	tables_numbers(r->tables, counter_hold, name_pass, r);
	numbers_sweep(r->counters);
	r->counters_short = false;
}

int counters_store(struct reconcile *r, struct err *e)
{
	return numbers_store(r->counters, journal_state_dirfd(r->journal), e);
}
