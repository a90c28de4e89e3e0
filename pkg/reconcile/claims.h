/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Egress addresses that this node is to own. An address that is not on its interface
 * is probed before it is put there; if somebody answers, it is a conflict, said and
 * looked at again later. After it is there it is announced: at once, after 100 ms, and
 * twice more a second apart, since any one of these may be lost.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/compile.h"
#include "reconcile/node.h"

enum claim_state {
	CLAIM_NEW,	/* wanted, not probed yet */
	CLAIM_HELD,	/* on its interface, or about to be put there */
	CLAIM_CONFLICT, /* somebody else has it */
	CLAIM_BLOCKED,	/* it could not be probed: interface down or gone */
};

struct claim {
	struct addr addr;
	enum claim_state state;
	int64_t retry_at; /* CONFLICT, BLOCKED: when to probe again (ms) */
	int tries;	  /* probes that another answered, in a row */
	char problem[160];
	bool seen; /* wanted in this pass */
	/* announcing */
	bool announce;
	uint32_t ifindex;
	uint8_t mac[6];
	int step;	 /* announcements sent */
	int64_t next_at; /* of the next one, 0 = none */
};

struct claims {
	struct claim *items;
	size_t n;
};

/*
 * Decides held[] for all compiled addresses (true also for those that are not ours to
 * put anywhere). Probes at most a few addresses a call. 1 = more are waiting: call
 * again soon; 0 otherwise.
 */
int claims_update(struct claims *c, const struct egress_addr *addrs, size_t n,
		  const struct node_state *node, bool *held);
/* The address is on its interface now: announce. */
void claims_added(struct claims *c, struct addr addr);
/* Sends what is due. Returns the time of the next announcement or retry (ms, CLOCK_MONOTONIC), 0 =
 * none. */
int64_t claims_run(struct claims *c, int64_t now);
const struct claim *claims_find(const struct claims *c, struct addr addr);
void claims_done(struct claims *c);

int64_t clock_ms(void);
