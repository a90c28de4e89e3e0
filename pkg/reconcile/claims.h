/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Egress addresses that this node is to own. An address that is not on its interface
 * is probed before it is put there, all of a pass at once; if somebody answers, it is a
 * conflict, said and looked at again later. If it is another gateway that answers, that one
 * lives, and lets go or has its daemon back: no conflict, but not ours either. Who hears no
 * other gateway claims only what it can see the segment of. After it is there it is announced: at
 * once, after 100 ms, and twice more a second apart, since any one of these may be lost. One that
 * a start finds in place is announced, too, once others could be heard: who put it there may have
 * ended in between.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "gateway/moves.h"
#include "policy/compile.h"
#include "policy/hash_index.h"
#include "reconcile/membership.h"
#include "reconcile/node.h"

enum claim_state {
	CLAIM_NEW,	/* wanted, not probed yet */
	CLAIM_HELD,	/* on its interface, or about to be put there */
	CLAIM_CONFLICT, /* somebody else has it */
	CLAIM_BLOCKED,	/* it could not be probed: interface down or gone */
	CLAIM_PEER,	/* another gateway has it */
};

struct claim {
	struct addr addr;
	enum claim_state state;
	int64_t retry_at;    /* but for NEW and HELD: when to probe again (ms) */
	int64_t answered_at; /* when another gateway last had it (clock_ms), 0 = never */
	int tries;	     /* probes that another answered, in a row */
	char problem[160];
	bool seen;		  /* wanted in this pass */
	bool comes, bare, leaves; /* in this pass, see place */
	bool ready;		  /* it was bare: now it goes on its interface */
	bool ask;		  /* to be probed in this pass */
	bool running;		  /* its interface has carrier */
	bool arrives;		  /* on its interface, but nothing sent to it is taken in yet */
	/* announcing */
	bool announce;
	bool owed; /* it was found in place, and who put it there may not have announced it */
	uint32_t ifindex;
	uint8_t mac[6];
	bool has_mac;
	int step;	 /* announcements sent */
	int64_t next_at; /* of the next one, 0 = none */
};

/* Who speaks with the other gateways about addresses that move (moves.h). */
struct claims_moves {
	void (*look)(void *data); /* before the others, in each pass */
	/* We have it, and somebody else is to. */
	enum move_leaving (*leaving)(void *data, const struct egress_addr *a);
	/* We are to have it, and have not. */
	enum move_coming (*coming)(void *data, const struct egress_addr *a);
	/* Nobody answered for it, and now it is to be put on its interface and announced. */
	void (*seizing)(void *data, struct addr addr);
	/* After a pass that carried out all: it is on its interface; or, bare, in force without. */
	void (*settled)(void *data, struct addr addr, bool bare);
	void *data;
};

/* What a node must know of its segment that does not hear the other gateways. */
#define CLAIMS_WITNESSES 16
struct claims_segment {
	/* Who should answer on that interface if it is in order, one after the other; *ret_must:
	 * there is one without whom the segment is not seen. */
	size_t (*witnesses)(void *data, uint32_t ifindex, bool v4,
			    struct addr ret[CLAIMS_WITNESSES], bool *ret_must);
	void *data;
};

struct claims {
	struct claim *items;
	size_t n;
	struct hash_index index;       /* of items, by address */
	struct announcer *announcer;   /* NULL: nothing was asked or announced yet */
	struct membership *membership; /* NULL: without heartbeats */
	struct claims_segment segment;
	uint64_t returns;		  /* membership_returns, when all was announced last */
	const struct claims_moves *moves; /* NULL: nobody does */
	uint64_t announcements;		  /* that were sent */
};

/* What becomes of a compiled address on this node. */
struct place {
	bool held; /* ours, and on its interface or about to be; true also where there is nothing
		      for us to put anywhere */
	uint32_t leaves; /* interface that we still have it on, for who is to have it; 0: none */
	bool comes;	 /* ours, and for now still where it was: not held */
	bool bare;	 /* in force for pods of this node, and not on its interface: before others
			    let go of it, and after we did, so that their packets have a way */
};
/* Decides places[] for all compiled addresses; takes as long as a probe if there are any. */
void claims_update(struct claims *c, const struct egress_addr *addrs, size_t n,
		   const struct node_state *node, struct place *places);
/* The address was put on its interface; packets to it are not taken in yet, so it is not announced.
 */
void claims_arrives(struct claims *c, struct addr addr);
/* Packets to it are taken in from now on: it is to be announced. */
void claims_added(struct claims *c, struct addr addr);
/* The pass has put all that is held on its interface: tells moves->settled, so that who hands an
 * address over lets go of it. */
void claims_settled(struct claims *c);
/* Sends what is due. Returns the time of the next announcement or retry (ms, CLOCK_MONOTONIC), 0 =
 * none. */
int64_t claims_run(struct claims *c, int64_t now);
/* Lets the announcer close what probes left open. Call it when nothing is urgent. */
void claims_rest(struct claims *c);
/* A claim that could not be probed, which may be possible in a second. NULL: there is none. */
const struct claim *claims_failed(const struct claims *c);
/* When something is to be probed again, 0 = nothing is. */
int64_t claims_retry_at(const struct claims *c);
const struct claim *claims_find(const struct claims *c, struct addr addr);
void claims_done(struct claims *c);

/* ---- claims_probe.c ---- */
/* Asks for all that have `ask` set, and says what became of them. */
void claims_probe(struct claims *c);
struct announcer *claims_announcer(struct claims *c);
void claim_blocked(struct claim *k, int64_t now, const char *text);
