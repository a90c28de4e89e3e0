/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The connections that other owners have told us (replica.h), by egress address. */
#include "gateway/flow_table.h"
#include "gateway/moves_wire.h"

enum replica_frame {
	FRAME_OF = FRAME_MORE, /* addresses, 16 bytes each */
	FRAME_KEEP,	       /* FLOWS: MOVE_FLOW_SIZE bytes each */
	FRAME_GONE,
	FRAME_NOT,
	FRAME_PING, /* answered with the addresses that are kept */
};

struct kept_addr {
	struct addr addr;
	struct channel *channel; /* NULL: its owner is silent */
	int64_t until;		 /* then */
};

struct kept {
	struct flow_table flows;
	struct kept_addr *addrs;
	size_t n;
	uint64_t no_room; /* connections left out */
};

void kept_init(struct kept *k, size_t max);
void kept_done(struct kept *k);
/* Takes in a frame of replica.h. -errno: it breaks the protocol, so the channel is to be ended. */
int kept_frame(struct kept *k, struct channel *c, uint8_t type, const void *payload, size_t n);
/* The channel has ended: what came over it is kept until then (ms). False: nothing did. */
bool kept_closed(struct kept *k, const struct channel *c, int64_t until);
void kept_expire(struct kept *k, int64_t now);
/* Moves the connections of addr to *ret (malloc'd). Returns how many. */
size_t kept_take(struct kept *k, struct addr addr, struct move_flow **ret);
