/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that cannot be in force: each its own policies' fault, and nobody else's. */
#include <stdlib.h>

#include "base/mem.h"
#include "reconcile/priv.h"

void refusals_add(struct reconcile *r, const struct prog *p, const struct err *e)
{
	const struct doc_meta *first = &compiled_policy(r->compiled, p->binding.policies[0])->meta;

	MEM_GROW(r->refusals, r->n_refusals);
	r->refusals[r->n_refusals++] = (struct refusal){
		.cluster = first->kind == DOC_CLUSTER_EGRESS_POLICY,
		.namespace = mem_strdup(first->namespace),
		.name = mem_strdup(first->name),
		.why = *e,
	};
}

void refusals_done(struct reconcile *r)
{
	for (size_t i = 0; i < r->n_refusals; i++) {
		free(r->refusals[i].namespace);
		free(r->refusals[i].name);
	}
	free(r->refusals);
	r->refusals = NULL;
	r->n_refusals = 0;
}

int refusals_say(const struct reconcile *r, struct err *e)
{
	const struct err *first = r->n_refusals ? &r->refusals[0].why : NULL;

	if (!first)
		return 0;
	if (r->n_refusals == 1)
		return err_set(e, first->code, "%s", first->msg);
	return err_set(e, first->code, "%s; and %zu more", first->msg, r->n_refusals - 1);
}
