/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Connections of an egress address in the memory of whoever would own it next, so that they
 * outlive an owner that dies without a word.
 *
 *	the owner		who is next
 *	  OF addresses ------>	  forgets what it has of them
 *	  FLOWS ------------->	  keeps them: first all that there are, then what begins
 *	  GONE -------------->	  forgets these
 *	  NOT addresses ----->	  somebody else is next: forgets all of them
 *	  PING <------------>	  that a channel on which nothing is told stays open
 *
 * A channel keeps the order and loses nothing; when it ends, or is too slow, all is told anew.
 * A connection is told when it is 100 to 200 ms old: most never are. What was told stays where
 * it is when the owner is silent: that is what it is for.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/moves.h"

#define REPLICA_FLOWS_MAX 196608 /* of either kind; all of them fit into what a channel holds */
#define REPLICA_TICK_MS	  100
#define REPLICA_RETRY_MS  1000
#define REPLICA_PING_MS	  5000
#define REPLICA_KEEP_MS	  600000 /* how long what a silent owner told is good for */

struct replica;

struct replica_target {
	struct addr addr;
	struct addr to; /* a node's address */
};

struct replica_in {
	struct loop *loop;
	uint16_t peer_port;
	/* Wants all connections told anew: replica_list, replica_flow for each, replica_listed. */
	void (*again)(void *data);
	void *data;
};

int replica_new(const struct replica_in *in, struct replica **ret, struct err *e);
void replica_free(struct replica *r); /* after the channels */
struct moves_more *replica_more(struct replica *r);

/* ---- the owner ---- */

/* From now on the connections of these addresses are told, and of no others; sorted by addr. */
void replica_targets(struct replica *r, const struct replica_target *list, size_t n);
/* The connection is established, or has changed. */
void replica_flow(struct replica *r, const struct move_flow *f);
void replica_gone(struct replica *r, const struct move_flow *f); /* by its two ends */
/* Around a list of all connections: those of which replica_flow says nothing in between are gone.
 */
void replica_list(struct replica *r);
void replica_listed(struct replica *r);

/* ---- who is next ---- */

/* Takes what an owner has told of addr's connections; *ret is malloc'd. Returns how many. */
size_t replica_take(struct replica *r, struct addr addr, struct move_flow **ret);

struct replica_stats {
	size_t told, waiting; /* by this node: connections, of these not sent yet */
	size_t addrs, whole;  /* of this node's addresses, and those that are told as they are */
	size_t kept;	      /* of others */
	uint64_t no_room;     /* that were left out */
};
void replica_stats(const struct replica *r, struct replica_stats *ret);
