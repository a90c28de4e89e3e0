/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between limits.c (what is wanted, what is in force) and limits_step.c. */
#include "reconcile/limits.h"

int limit_holder_cmp(const void *a, const void *b);
struct limit_account *limit_account_find(const struct limits *l, uint32_t id,
					 enum nft_limit_kind kind);

/* The slot of the room that is not known to be true. */
static inline int limit_slot_unsure(const struct limit_holder *h)
{
	return h->sure == 0;
}
