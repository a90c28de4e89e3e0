/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Addresses of this node that another gateway has had at the same time, as two that do not hear
 * each other may. They hear each other again, the ranks decide, and the one that lets go says so
 * of each: from its first word on an address until its last one it is told who else has it, and
 * how it ended for some time. PURE.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inet/addr.h"

#define RIVALS_MAX 1024 /* addresses at a time; beyond that they are counted only */

struct rival {
	struct addr addr;
	char *gateway, *node;
};

/* Those of one gateway and one other node, all that come within RIVALS_ROUND_MS. */
struct rivalry {
	char *gateway, *node;
	struct addr addr;	/* the first one */
	size_t n, open;		/* addresses; that are not settled yet */
	int64_t at_ms;		/* since 1970: of the first one */
	int64_t began, took_ms; /* clock_ms(); from then until the last one was settled */
};
#define RIVALS_ROUND_MS 10000

struct rivals {
	struct rival *now; /* not settled yet */
	size_t n;
	struct rivalry *rounds; /* the last one of each pair */
	size_t n_rounds;
	uint64_t total;	 /* addresses, since the start */
	uint64_t serial; /* counts up with each change */
};

struct rivals_moment {
	int64_t now, wall_ms;
};

void rivals_begin(struct rivals *r, struct addr a, const char *gateway, const char *node,
		  struct rivals_moment at);
/* The round that it is of; NULL: nobody else had it. */
const struct rivalry *rivals_end(struct rivals *r, struct addr a, struct rivals_moment at);
/* Who else has it; NULL: nobody. */
const char *rivals_find(const struct rivals *r, struct addr a);
const struct rivalry *rivals_latest(const struct rivals *r); /* NULL: there was none */
void rivals_done(struct rivals *r);
