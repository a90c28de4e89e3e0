/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between ids.c and ids_file.c. */
#include "bpf/abi.h"
#include "state/ids.h"

struct address_slot {
	struct ids_address a;
	bool taken, used;
	uint16_t next; /* taken, and in the same chain; 0 = none */
};

struct node_slot {
	char *name;
	bool used;
};

struct ids {
	struct address_slot addrs[SLU_ID_MAX];
	uint16_t chains[SLU_ID_MAX]; /* by hash: the first id of those, 0 = none */
	struct node_slot nodes[SLU_MAX_NODES];
	uint32_t next_addr, next_node, next_policy; /* where the search for a free one begins */
	struct ids_policy *policies;		    /* sorted by id */
	size_t n_policies;
	bool dirty;
};

/* Gives id to a; the address that had it before has none any more. */
void ids_address_put(struct ids *ids, uint32_t id, const struct ids_address *a);
