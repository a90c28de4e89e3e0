/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway with addressFrom has no peers: its nodes do not stand in for one another. */
#include <stdlib.h>

#include "base/mem.h"
#include "policy/compiled.h"

static void failover_merge(struct doc_failover *f, const struct doc_failover *other)
{
	uint32_t hold_down = f->hold_down_ms;

	if (!f->missed || f->interval_ms * f->missed > other->interval_ms * other->missed)
		*f = *other;
	f->hold_down_ms = hold_down > other->hold_down_ms ? hold_down : other->hold_down_ms;
}

void compiled_peers(const struct compiled *c, struct compiled_peer **ret, size_t *ret_n)
{
	__cleanup_free struct doc_failover *by_node = mem_alloc0(c->n_nodes * sizeof(*by_node));
	struct compiled_peer *list = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->set->n_gateways; i++) {
		const struct doc_gateway *gw = &c->set->gateways[i];

		if (gw->address_from || !compiled_node_selected(c, c->self, &gw->node_selector))
			continue;
		for (size_t k = 0; k < c->n_nodes; k++)
			if (compiled_node_selected(c, k, &gw->node_selector))
				failover_merge(&by_node[k], &gw->failover);
	}
	for (size_t k = 0; k < c->n_nodes; k++) {
		if (!by_node[k].missed)
			continue;
		MEM_GROW(list, n);
		list[n++] = (struct compiled_peer){
			.node = c->nodes[k],
			.failover = by_node[k],
			.not_ready = c->node_docs[k] && c->node_docs[k]->not_ready,
		};
	}
	if (n == 1)
		n = 0;
	*ret = list;
	*ret_n = n;
}
