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
#include "gateway/moves.h"
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

/* Who speaks with the other gateways about addresses that move (moves.h). */
struct claims_moves {
	void (*look)(void *data); /* before the others, in each pass */
	/* We have it, and somebody else is to: keep it for now? */
	bool (*leaving)(void *data, const struct egress_addr *a);
	/* We are to have it, and have not. */
	enum move_coming (*coming)(void *data, const struct egress_addr *a);
	void (*taken)(void *data, struct addr addr);
	void *data;
};

struct claims {
	struct claim *items;
	size_t n;
	const struct claims_moves *moves; /* NULL: nobody does */
};

/* What becomes of a compiled address on this node. */
struct place {
	bool held; /* ours, and on its interface or about to be; true also where there is nothing
		      for us to put anywhere */
	uint32_t leaves; /* interface that we still have it on, for who is to have it; 0: none */
};
/*
 * Decides places[] for all compiled addresses. Probes at most a few addresses a call. 1 =
 * more are waiting: call again soon; 0 otherwise.
 */
int claims_update(struct claims *c, const struct egress_addr *addrs, size_t n,
		  const struct node_state *node, struct place *places);
/* The address is on its interface now: announce. */
void claims_added(struct claims *c, struct addr addr);
/* The pass is over, and what is held is on its interface: whoever hands it over may let go. */
void claims_settled(struct claims *c);
/* Sends what is due. Returns the time of the next announcement or retry (ms, CLOCK_MONOTONIC), 0 =
 * none. */
int64_t claims_run(struct claims *c, int64_t now);
const struct claim *claims_find(const struct claims *c, struct addr addr);
void claims_done(struct claims *c);

int64_t clock_ms(void);
