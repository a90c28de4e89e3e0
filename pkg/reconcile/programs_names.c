/* SPDX-License-Identifier: Apache-2.0 */
/* Names that rules are about, and what programs let go. */
#include <stdlib.h>

#include "base/mem.h"
#include "reconcile/priv.h"

static int id_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int progs_names(struct reconcile *r, struct err *e)
{
	const char *const *patterns;
	uint32_t *ids;
	size_t n;
	int rc;

	if (r->name_ids && !r->names_short)
		return 0;
	patterns = compiled_names(r->compiled, &n);
	ids = mem_alloc0(n * sizeof(*ids));
	rc = names_apply(r->names, r->k.pins, patterns, n, ids, e);
	if (rc < 0) {
		free(ids);
		return rc;
	}
	free(r->name_ids);
	r->name_ids = ids;
	r->names_short = false;
	for (size_t i = 0; i < n; i++)
		r->names_short |= ids[i] == 0;
	return 0;
}

static const char *tenant_name(void *data, uint32_t tenant)
{
	const struct reconcile *r = data;

	for (size_t i = 0; i < r->n_pods; i++)
		if (!r->pods[i].dead && r->pods[i].a.pod.tenant == tenant)
			return r->pods[i].rec->namespace;
	return NULL;
}

void progs_names_warn(struct reconcile *r)
{
	names_warn(r->names, r->k.pins, compiled_config(r->compiled), tenant_name, r);
}

struct used {
	uint32_t *ids;
	size_t n;
};

static void name_used(uint32_t n, void *data)
{
	struct used *u = data;

	MEM_GROW(u->ids, u->n);
	u->ids[u->n++] = n;
}

static void counter_pass(uint32_t n, void *data)
{
}

int progs_settle(struct reconcile *r, struct err *e)
{
	struct used u = {0};
	size_t kept = 0;
	int rc;

	if (!tables_resting(r->tables) && !r->names_short)
		return 0;
	rc = tables_settle(r->k.pins, r->tables, e);
	if (rc < 0)
		return rc;
	tables_numbers(r->tables, counter_pass, name_used, &u);
	if (u.n)
		qsort(u.ids, u.n, sizeof(*u.ids), id_cmp);
	for (size_t i = 0; i < u.n; i++)
		if (kept == 0 || u.ids[kept - 1] != u.ids[i])
			u.ids[kept++] = u.ids[i];
	rc = names_retire(r->names, r->k.pins, u.ids, kept, e);
	free(u.ids);
	return rc;
}
