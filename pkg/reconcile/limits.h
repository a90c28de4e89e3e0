/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * limits of an EgressGateway: what the kernel has not counted. It counts by itself, for each pod
 * and address, the connections (and ports) that begin while its element is there
 * (kernel/nft_limits.c); what is older it does not know of, and cannot be told. So when it begins
 * to count (a limit is new or edited, the table was made anew, the address came from another
 * gateway), whoever has something gets a room: so many more, beside what conntrack says it has.
 *
 * Never too much, at no time. A room's number must be known when it is made, and connections
 * begin meanwhile; so a new room holds beside the one before it until a look at conntrack, taken
 * when the room was in force, finds no more than its number assumed. Over an edit the number
 * before the edit holds, too, until all rooms are known to be true.
 *
 * Sometimes too little, for a while: what closes is given back by a new room at one of the next
 * two looks; but for a pod that closes more from one look to the next than that would give, since
 * for the new room all of it is old. When all connections from before the kernel began to count
 * have ended, there is no room any more, and the limit itself is exact. Without a daemon the
 * rooms stay as they are.
 *
 * PURE, but for limits_look.c, which looks.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/conntrack.h"
#include "kernel/nft.h"

struct reconcile;
struct move_flow;

/* What one pod may hold of one address, by one kind. */
struct limit_account {
	uint32_t id;
	enum nft_limit_kind kind;
	struct addr addr; /* zero: not known yet */
	uint32_t most, before;
	enum limit_state {
		LIMIT_COUNTS, /* all, but for what those with a room had */
		LIMIT_BEGINS, /* with the next transaction */
		LIMIT_BEGAN,  /* with the last one: who has something needs a room */
	} state;
	size_t unsure;	/* pods whose room is not known to be true */
	uint32_t began; /* the look since which the kernel counts all that is new */
};

struct limit_room {
	uint32_t more, serial; /* serial 0: there is none */
	bool in_force;
	bool stale;	/* made for another beginning */
	uint32_t since; /* the look that it was made after: what that saw is older */
};

struct limit_holder {
	uint32_t id;
	enum nft_limit_kind kind;
	struct addr pod;
	struct limit_room rooms[NFT_ROOM_SLOTS];
	int sure;      /* slot of the one that is known to be true, -1: none is */
	uint32_t held; /* at the last look */
};

/* A connection, and the look that saw it first. */
struct limit_known {
	uint32_t id, since;
};

struct limits {
	struct limit_account *accounts; /* sorted by id, kind */
	size_t n_accounts;
	struct limit_holder *holders; /* sorted by id, kind, pod */
	size_t n_holders;
	struct limit_known *known; /* sorted by id: all that the last look saw */
	size_t n_known;
	uint32_t looks;
	uint32_t serial; /* of the rooms made last */
};

void limits_done(struct limits *l);
/* The first thing: what is in force. */
void limits_found(struct limits *l, const struct nft_limits *have);
/* What is wanted, by a model's limits and addresses. */
void limits_want(struct limits *l, const struct nft_model *m);
/* The kernel begins anew: with the next transaction, or it did with the last one. */
void limits_lost(struct limits *l);
void limits_restarted(struct limits *l);
/* Connections of this address came to be without a first packet here. */
void limits_came(struct limits *l, struct addr seen);
/* Who holds what, now that all that was wanted is in force. */
void limits_step(struct limits *l, const struct ct_holding *list, size_t n);
/* What the model says is in force. */
void limits_carried(struct limits *l);
bool limits_begin(const struct limits *l);   /* with the next transaction: a look before it */
bool limits_settled(const struct limits *l); /* no look is due, but for what closes */
/* For the model: malloc'd; and the numbers before an edit into limits, of n. */
size_t limits_rooms(const struct limits *l, struct nft_room **ret);
void limits_befores(const struct limits *l, struct nft_limit *limits, size_t n);

/* ---- limits_look.c ---- */

struct dp_model;
struct limits_look;
void limits_before(struct reconcile *r); /* what is wanted is compared with the kernel */
void limits_seen(struct reconcile *r, const struct dp_model *observed);
/* True: another pass is due. */
bool limits_after(struct reconcile *r);
void limits_made(struct reconcile *r, const struct move_flow *flows, size_t n);
void limits_free(struct limits_look *k);
