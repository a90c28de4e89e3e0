/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who owns which egress address since when, as this node sees it, and how it came to that. What
 * this node took over from one that died is told with the time that nobody carried it: from the
 * last sign of life of the one before, a heartbeat or an answer to a probe, until it was on the
 * interface here. PURE: looked at after each pass, never decided by.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compile.h"

enum tenure_by {
	TENURE_FOUND,	 /* it was so when this daemon began */
	TENURE_ASSIGNED, /* nobody had it */
	TENURE_MOVED,	 /* from one that lived */
	TENURE_FAILOVER, /* from one that did not */
};

struct tenure {
	struct addr addr;
	char *owner;	  /* NULL: nobody */
	char *from;	  /* who had it before; NULL: nobody, or not known */
	int64_t since_ms; /* since 1970 */
	enum tenure_by by;
	bool carried;	 /* ours: it is in force here */
	int64_t lost_at; /* clock_ms() of the last sign of life of from, -1 = it lived */
};

/* What this node last took over of a gateway, all of one pass together. */
struct takeover {
	char *gateway, *from;
	struct addr addr; /* one of them */
	size_t n;
	int64_t at_ms; /* since 1970 */
	int64_t gap_ms;
};

struct tenures {
	struct tenure *list; /* sorted by addr */
	size_t n;
	uint64_t serial; /* of the compiled that it was made of, 0 = of none */
	struct takeover *last;
	size_t n_last;
	uint64_t failovers, moves; /* addresses that this node took over */
};

struct tenures_in {
	const struct egress_addr *addrs; /* as compiled; those without a home are left out */
	size_t n;
	uint64_t serial; /* counts up when they change */
	int64_t now, wall_ms;
	/* Is ours in force here? *ret_answered: when another gateway last answered for it, -1 */
	bool (*carried)(void *data, const struct egress_addr *a, int64_t *ret_answered);
	/* When a node that is away was last heard; -1: it lives, or never was */
	int64_t (*lost)(void *data, const char *node);
	void *data;
};

void tenures_update(struct tenures *t, const struct tenures_in *in);
void tenures_done(struct tenures *t);
const struct tenure *tenures_find(const struct tenures *t, struct addr a);
const struct takeover *tenures_last(const struct tenures *t, const char *gateway);
/* Of all gateways; NULL: there was none. */
const struct takeover *tenures_latest(const struct tenures *t);
const char *tenure_by_text(enum tenure_by by);
