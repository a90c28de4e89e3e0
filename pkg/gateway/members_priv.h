/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What members.c, which judges, and members_view.c, which is asked, share. */
#include "gateway/members.h"

struct member {
	char *name;
	uint64_t id;
	struct member_conf conf;
	/* the highest with a good tag, whether or not it proves anything: what is echoed */
	uint64_t incarnation, seq;
	int64_t heard_at; /* -1 = never */
	int64_t since;	  /* tier */
	int64_t send_at;
	uint64_t config, key;
	int64_t clock_off_ms;
	uint32_t announced_ms;
	uint8_t state, flags, tier;
	bool heard;
	bool taken;	  /* we hold what is at home there */
	bool met;	  /* each heard the other, once */
	int64_t apart_at; /* when they last did not, although they had met; -1 = never */
	uint8_t n_macs;
	uint8_t macs[HEARTBEAT_MACS][6];
};

struct members {
	struct member *peers; /* by name */
	size_t n;
	char *name;
	uint64_t id, incarnation, seq;
	struct members_self self;
	struct member_conf conf;
	int64_t born, settled_at;
	int64_t blind_since; /* -1 = it is not */
	uint8_t state;
	bool settled, away; /* away: it joins since a peer has what is its own */
	int64_t join_at;    /* JOINING: not before that */
	int64_t trust_from; /* LIVE: a peer that says TAKEN before that has not heard yet */
	uint64_t serial;
};

uint8_t members_tier(uint8_t state); /* enum rank_tier of an enum heartbeat_state */
