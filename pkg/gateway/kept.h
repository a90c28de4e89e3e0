/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What other owners tell of their connections (replica.h), by the address that it is of. */
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
/* -errno ends the channel. */
int kept_frame(struct kept *k, struct channel *c, uint8_t type, const void *payload, size_t n);
bool kept_closed(struct kept *k, const struct channel *c, int64_t until); /* it had told some */
void kept_expire(struct kept *k, int64_t now);
size_t kept_take(struct kept *k, struct addr addr, struct move_flow **ret);
