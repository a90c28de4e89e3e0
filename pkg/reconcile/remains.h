/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Connections that this kernel knows under an egress address that somebody else has. They
 * answer nobody, whatever left them here: a planned move, a lost link, a move that was called
 * off after they had been made, a daemon that was killed before it could forget them. So nothing
 * is told of why an address went: what counts is that it was in force here, or that
 * connections were made for it, and that it has been somebody else's for REMAINS_MS. PURE.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inet/addr.h"
#include "policy/hash_index.h"

#define REMAINS_MS 3000 /* packets are under way, and the address may come back */

enum remains_place {
	REMAINS_HERE, /* in force */
	REMAINS_AWAY, /* somebody else has it */
	REMAINS_OPEN, /* nobody has: it may come back, connections and all */
};

/* An address with connections, perhaps. */
struct remain {
	struct addr addr;
	bool seen;     /* in this update */
	int64_t until; /* ms, when they are to be forgotten; 0: not now */
};

struct remains {
	struct remain *list;
	size_t n;
	struct hash_index index;
	bool begun; /* before, there may be some of any address */
};

/* After each pass that did all: begin, put for each address that the policies have, end. */
void remains_begin(struct remains *r);
void remains_put(struct remains *r, struct addr a, enum remains_place place, int64_t now);
void remains_end(struct remains *r);
/* Connections of the address were made here before it is known where the address will be. */
void remains_made(struct remains *r, struct addr a);
/* When (ms) addresses are next due to be forgotten, 0 = none are. */
int64_t remains_due(const struct remains *r);
/* Takes the addresses that are due now out of the list; *ret is malloc'd. Returns how many. */
size_t remains_take(struct remains *r, int64_t now, struct addr **ret);
void remains_done(struct remains *r);
