/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What membership.c, which speaks, and membership_view.c, which says what follows, share. */
#include "base/err.h"
#include "gateway/keyring.h"
#include "reconcile/membership.h"
#include "source/file_watch.h"

#define MAX_UPLINKS 16

struct membership {
	struct membership_in in;
	struct keyring ring; /* never empty */
	struct file_watch *key_watch;
	struct loop_timer *key_timer;
	struct err key_err; /* of the file, as it is now */
	struct members *m;
	struct loop_timer *timer;
	int64_t armed; /* when it fires; 0 = not known */
	int fds[2];    /* IPv4, IPv6; -1 = no such address */
	bool listens[2];
	int64_t calm_at; /* until then packets are read as they come */
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
	uint64_t fates[MEMBERS_FATES], sent;
	bool too_many;
	struct err err; /* of the sockets */
};

int membership_keys_open(struct membership *ms, struct err *e);
void membership_keys_close(struct membership *ms);
struct json *membership_keys_status(const struct membership *ms);
/* Addresses that we put on this node's interfaces, those of sluice0 aside: into ret, which has
 * room for all that the node has. */
size_t membership_ours(const struct node_state *node, struct addr *ret);
