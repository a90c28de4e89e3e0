/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What moves.c, moves_leaving.c and moves_coming.c share. */
#include "gateway/channel.h"
#include "gateway/moves.h"

enum leave_state {
	LEAVE_OPENING, /* towards who is to have it */
	LEAVE_TOLD,
	LEAVE_TAKEN, /* by the other one */
	LEAVE_GONE,  /* let go */
};

struct leaving {
	struct addr addr, to;
	enum leave_state state;
	struct channel *channel; /* NULL: it has ended */
	int64_t until;		 /* ms: gone at the latest; then: no more is known of it */
};

struct coming {
	struct addr addr, from;
	struct channel *channel; /* where it is told; NULL: nowhere yet, or it has ended */
	struct move_flow *flows; /* until they are made */
	size_t n;
	bool asked, ready, clean, made, taken; /* clean: nothing of the last time is left */
	bool alone;			       /* nothing was heard in time, or not all of it */
	bool twice;			       /* it was here before it was told of */
	int64_t until;			       /* ms: waited for no longer; not asked: forgotten */
};

struct moves {
	struct channels *channels;
	const struct moves_ops *ops;
	void *data;
	uint16_t peer_port;
	struct leaving *leaving;
	struct coming *coming;
	size_t n_leaving, n_coming, n_pending;
	struct loop_timer *timer, *tell;
	struct moves_more *more;
	struct moves_counts *counts;
};

void moves_timer_arm(struct moves *m);

/* moves_leaving.c */
struct leaving *leaving_find(struct moves *m, struct addr a);
void leaving_remove(struct moves *m, struct leaving *l);
void leaving_tell(void *data); /* those of one pass go together; data: struct moves */
/* The other one has them: what has begun meanwhile, and we let go. */
int leaving_taken(struct moves *m, struct channel *c, const struct addr *addrs, size_t n);
/* The channel has ended. True: they go without a word from there. */
bool leaving_closed(struct moves *m, const struct channel *c);
bool leaving_expire(struct moves *m, int64_t now); /* true: some are let go */

/* moves_coming.c: what is told over a channel */
struct coming *coming_find(struct moves *m, struct addr a);
void coming_remove(struct moves *m, struct coming *k);
int coming_flows(struct moves *m, struct channel *c, const uint8_t *p, size_t n);
void coming_ready(struct moves *m, struct channel *c, const struct addr *addrs, size_t n);
void coming_done(struct moves *m, struct channel *c, const struct addr *addrs, size_t n);
/* True: nobody tells some of them any more, or has in time. */
bool coming_closed(struct moves *m, const struct channel *c);
bool coming_expire(struct moves *m, int64_t now);
