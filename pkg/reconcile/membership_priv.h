/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What membership.c, which speaks, and membership_view.c, which says what follows, share. */
#include "base/err.h"
#include "reconcile/membership.h"

#define MAX_UPLINKS 16

struct membership {
	struct membership_in in;
	struct heartbeat_key key;
	struct members *m;
	struct loop_timer *timer;
	int fds[2]; /* IPv4, IPv6; -1 = no such address */
	struct addr own[2];
	char *self;
	struct compiled_peer *peers; /* without this node, by name as members.h has them */
	char **names;
	size_t n;
	uint64_t configured; /* digest */
	uint8_t state;	     /* enum heartbeat_state, when last looked */
	uint64_t seen_serial, returns;
	bool *heard; /* by peer, when last looked */
	struct node_tier *tiers;
	struct addr *kept;
	uint32_t uplinks[MAX_UPLINKS]; /* interfaces that have had addresses of gateways */
	size_t n_uplinks;
	struct members_self facts;
	uint64_t fates[MEMBERS_FATES];
	bool too_many;
	struct err err; /* of the sockets */
};

const char *membership_state_text(uint8_t state);
/* Addresses that we put on this node's interfaces, those of sluice0 aside: into ret, which has
 * room for all that the node has. */
size_t membership_ours(const struct node_state *node, struct addr *ret);
