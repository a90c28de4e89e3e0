/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Addresses that go from one living gateway to another, with their connections. Make
 * before break:
 *
 *	the one that lets go		the one that takes over
 *	  tells its connections ------>	  makes them
 *	  READY ---------------------->	  takes the address without asking the segment who
 *					  has it, announces it
 *	  <----------------------- TAKEN
 *	  those begun meanwhile ------>	  makes them
 *	  lets go of the address
 *
 * Either goes on alone when the other is silent for too long: the address then moves as
 * after a crash, without its connections.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/channel.h"
#include "inet/addr.h"
#include "loop/loop.h"

/* A connection under an egress address, without what only one node knows (zones, marks). */
struct move_flow {
	struct addr src, dst, seen;
	struct addr node; /* an address of the pod's node */
	uint16_t sport, dport, seen_port;
	uint8_t proto, tcp_state, tcp_wscale[2];
	bool answered, assured;
	uint32_t timeout;
};

struct moves_ops {
	/* Connections seen as one of addrs. *ret malloc'd. */
	int (*list)(void *data, const struct addr *addrs, size_t n, struct move_flow **ret,
		    size_t *ret_n);
	void (*make)(void *data, const struct move_flow *flows, size_t n);
	/* What there is of them is of the last time that they were here. One look at the kernel's
	 * table takes 5 ms, for one address as for a thousand. */
	void (*forget)(void *data, const struct addr *addrs, size_t n);
	/* An answer of moves_leaving or moves_coming is another one now. */
	void (*changed)(void *data);
	/* Who lets go of an address has told of one that was here all the time: both had it; or,
	 * false, it has let go, or has said nothing for long enough. NULL: nobody asks. */
	void (*twice)(void *data, struct addr a, struct addr from, bool twice);
};

/* Who else speaks over these channels: by frames from FRAME_MORE on, over channels of its own. */
struct moves_more {
	const struct channel_ops *ops;
	void *data;
	struct channels *channels; /* set by moves_new */
};

/* Addresses, since the start. */
struct moves_counts {
	uint64_t left, left_alone; /* taken by the next one; let go without a word of it */
	uint64_t came, came_alone; /* with all of their connections; without */
};

struct moves_in {
	struct loop *loop;
	struct channel_keys keys;
	uint16_t port;	    /* the same on every gateway */
	uint16_t peer_port; /* 0: the same; another one in tests on one machine */
	const struct moves_ops *ops;
	void *data;
	struct moves_more *more;     /* NULL: nobody does */
	struct moves_counts *counts; /* NULL: nobody asks */
};

struct moves;

int moves_new(const struct moves_in *in, struct moves **ret, struct err *e);
void moves_free(struct moves *m);
const struct channels *moves_channels(const struct moves *m);

/* Asked in each pass. Leaving: this node has the address, and the living node `to` is to have it.
 */
enum move_leaving {
	MOVE_KEEP, /* for now */
	MOVE_LET,  /* off its interface; for own pods it is in force until moves_let */
	MOVE_GONE
};
enum move_leaving moves_leaving(struct moves *m, struct addr a, struct addr to);
/* It is off its interface. */
void moves_let(struct moves *m, struct addr a);
/* Coming: this node is to have it; expected: a living one has had it, and will tell. */
enum move_coming {
	MOVE_WAIT, /* its connections are still being told */
	MOVE_TAKE, /* take it: who has it knows */
	MOVE_PROBE /* nothing was heard from there: as if nobody had had it */
};
enum move_coming moves_coming(struct moves *m, struct addr a, bool expected);
/* The same, of one that has it and joins: mostly it is LIVE again in a moment, and keeps it. Until
 * then it goes on with it, so what it tells is taken up only after MOVE_PATIENCE_MS. */
enum move_coming moves_coming_joining(struct moves *m, struct addr a);
/* It is on its interface, and announced; in each pass. Who tells of it all the same is answered. */
void moves_taken(struct moves *m, struct addr a);
/* The owner of an address is another one than it was when these were asked: all begins anew. */
void moves_drop(struct moves *m, struct addr a);
/* The same, of one half: it is to stay here, or it is not to come here. What was told of one that
 * has not been asked for yet is kept: the other gateway may be ahead. */
void moves_settle(struct moves *m, struct addr a, bool here);

#define MOVE_LEAVE_MS	 10000 /* longest that an address is kept for who does not take it */
#define MOVE_WAIT_MS	 5000  /* longest that the first word is waited for; the last, as above */
#define MOVE_LINGER_MS	 3000  /* how a move ended is known for so long */
#define MOVE_PATIENCE_MS 3000
