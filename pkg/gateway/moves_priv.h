/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What moves.c is made of. */
#include "gateway/channel.h"
#include "gateway/moves.h"

enum leave_state {
	LEAVE_OPENING, /* towards who is to have it */
	LEAVE_TOLD,
	LEAVE_TAKEN, /* by the other one */
	LEAVE_GONE,  /* let go; its connections linger */
};

struct leaving {
	struct addr addr, to;
	enum leave_state state;
	struct channel *channel; /* NULL: it has ended */
	int64_t until;		 /* ms: gone at the latest; then: forgotten */
};

struct coming {
	struct addr addr;
	struct channel *channel; /* where it is told; NULL: nowhere yet, or it has ended */
	struct move_flow *flows; /* until they are made */
	size_t n;
	bool asked, ready, clean, made, taken; /* clean: nothing of the last time is left */
	bool alone;			       /* nothing was heard in time, or not all of it */
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
