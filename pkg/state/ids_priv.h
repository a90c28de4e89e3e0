/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between ids.c and ids_file.c. */
#include "bpf/abi.h"
#include "state/ids.h"

struct address_slot {
	struct ids_address a;
	bool taken, used;
};

struct node_slot {
	char *name;
	bool used;
};

struct ids {
	struct address_slot addrs[SLU_ID_MAX];
	struct node_slot nodes[SLU_MAX_NODES];
	uint32_t next_addr, next_node, next_policy; /* where the search for a free one begins */
	struct ids_policy *policies;		    /* sorted by id */
	size_t n_policies;
	bool dirty;
};
