/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is in the frames of moves.c. */
#include "gateway/moves.h"

enum move_frame {
	FRAME_FLOWS = 1, /* MOVE_FLOW_SIZE bytes each */
	FRAME_READY,	 /* addresses, 16 bytes each: all of their connections have been told */
	FRAME_TAKEN,	 /* addresses */
	FRAME_DONE,	 /* addresses: nothing more will come, and they are yours alone */
	FRAME_MORE = 16, /* from here on: replica.c */
};

/* Offsets: src 0, dst 16, seen 32, node 48, sport 64, dport 66, seen_port 68 (network order),
 * proto 70, tcp_state 71, tcp_wscale 72 73, flags 74 (1 answered, 2 assured), 0 75, timeout 76
 * (network order). */
#define MOVE_FLOW_SIZE	     80
#define MOVE_FLOWS_PER_FRAME (CHANNEL_MAX_FRAME / MOVE_FLOW_SIZE)
#define MOVE_FLOWS_MAX	     262144 /* that are told and not made yet */
#define MOVE_ADDRS_MAX	     4096   /* that come at a time; a node has no more than 1024 */
#define MOVE_ADDRS_PER_FRAME (CHANNEL_MAX_FRAME / 16)

void move_flow_put(const struct move_flow *f, uint8_t to[MOVE_FLOW_SIZE]);
/* False: no gateway tells such a thing (families that differ, a timeout of years, …). */
bool move_flow_get(const uint8_t from[MOVE_FLOW_SIZE], struct move_flow *ret);

/* As many frames as it takes; what channel_send says. */
int move_frames_send(struct channel *c, uint8_t type, const struct move_flow *flows, size_t n);
int move_flows_send(struct channel *c, const struct move_flow *flows, size_t n); /* FRAME_FLOWS */
int move_addrs_send(struct channel *c, uint8_t type, const struct addr *addrs, size_t n);
/* Their connections as they are now, then the word. */
struct move_words {
	uint8_t word; /* FRAME_READY, FRAME_DONE */
	const struct addr *addrs;
	size_t n;
};
int move_tell(const struct moves_ops *ops, void *data, struct channel *c,
	      const struct move_words *say);
