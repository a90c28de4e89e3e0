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
	/* Deletes what the kernel still has of these addresses' connections from an earlier time
	 * that they were here. One walk of its table (5 ms) for all of them. */
	void (*forget)(void *data, const struct addr *addrs, size_t n);
	/* moves_leaving or moves_coming would answer something else now: a pass is due. */
	void (*changed)(void *data);
	/*
	 * twice: gateway `from` hands over an address that this node had all the time, so both
	 * had it. Not twice: that has ended; it let go, or was silent for long enough. May be NULL.
	 */
	void (*twice)(void *data, struct addr a, struct addr from, bool twice);
};

/* A second user of the same port (replica.h): with channels of its own, and frames from FRAME_MORE
 * on. */
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

/*
 * The next two are asked in each pass for each address that moves; they never block. Leaving: this
 * node has the address, and the living node `to` is to have it.
 */
enum move_leaving {
	MOVE_KEEP, /* for now */
	MOVE_LET,  /* off its interface; for own pods it is in force until moves_let */
	MOVE_GONE
};
enum move_leaving moves_leaving(struct moves *m, struct addr a, struct addr to);
/* It is off its interface. */
void moves_let(struct moves *m, struct addr a);
/* Coming: this node is to have it. expected: a living node has it, and will tell its connections.
 */
enum move_coming {
	MOVE_WAIT, /* its connections are still being told */
	MOVE_TAKE, /* take it: who has it knows */
	MOVE_PROBE /* nothing was heard from there: as if nobody had had it */
};
enum move_coming moves_coming(struct moves *m, struct addr a, bool expected);
/*
 * The same where the node that has it is JOINING: mostly that one is LIVE again in a moment, and
 * keeps the address. So what it tells is taken up only after MOVE_PATIENCE_MS.
 */
enum move_coming moves_coming_joining(struct moves *m, struct addr a);
/* Say in each pass: the address is on its interface here, and announced. A gateway that still hands
 * it over is answered TAKEN. */
void moves_taken(struct moves *m, struct addr a);
/* The owner of the address has changed since leaving or coming was asked: both begin anew. */
void moves_drop(struct moves *m, struct addr a);
/*
 * The same for one half. here: the address stays, so what is known of its leaving is dropped; else
 * it does not come, and what is known of its coming is. What another gateway has told of an address
 * that was not asked for yet is kept: it may know of the move before us.
 */
void moves_settle(struct moves *m, struct addr a, bool here);

#define MOVE_LEAVE_MS	 10000 /* longest that an address is kept for who does not take it */
#define MOVE_WAIT_MS	 5000  /* longest that the first word is waited for; the last, as above */
#define MOVE_LINGER_MS	 3000  /* how a move ended is known for so long */
#define MOVE_PATIENCE_MS 3000
