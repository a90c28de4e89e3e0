/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What each pod of this node has of the egress addresses that give one pod no more than so much
 * (limits of an EgressGateway), wherever these are: as conntrack of the pod's own node has it,
 * through which all its connections go, and which knows whose they are. The gateway's kernel
 * decides, and counts for itself; it may have forgotten what this node still knows.
 *
 * PURE, but for shares_look.c, which looks.
 */
#include <stddef.h>
#include <stdint.h>

#include "kernel/conntrack.h"
#include "kernel/nft.h"

/* Of those of one look, one by one; how many more there are is told of all. */
#define SHARES_TOLD 6

/* An address with limits. */
struct share_limit {
	uint32_t id; /* the address's on this node */
	struct addr addr;
	uint32_t most[NFT_LIMIT_KINDS]; /* 0: as much as there is */
};

struct share {
	struct addr pod;
	struct share_limit of;
	uint32_t used[NFT_LIMIT_KINDS]; /* at most of.most: what is more is not let out */
	/* by kind, a bit each */
	unsigned int near; /* at 80 % since it last was well below */
	unsigned int log;  /* and that is still to be said, in the log and to an API */
	unsigned int tell;
};

struct shares {
	struct share *list; /* sorted by pod, id */
	size_t n;
	size_t more;		   /* that came near, and are told by their number only */
	struct addr more_of;	   /* the last of their addresses */
	int64_t next_at, asked_at; /* clock_ms(): by itself, for somebody who asks */
};

extern const char *const share_kinds[NFT_LIMIT_KINDS]; /* "connectionsPerPod", … */

int share_limit_order(const void *a, const void *b); /* by id, for qsort and bsearch */
/* limits sorted so; list in any order, of pods' addresses. */
void shares_count(struct shares *s, const struct share_limit *limits, size_t n_limits,
		  const struct ct_holding *list, size_t n);
size_t shares_near(const struct shares *s, enum nft_limit_kind kind);
/* True: some is still to be told to an API. */
bool shares_untold(const struct shares *s);
void shares_done(struct shares *s);

/* ---- shares_look.c ---- */

struct reconcile;
struct objects;
struct api_events;

void shares_note(struct reconcile *r); /* after a pass that did all: when it is due */
void shares_tell(struct reconcile *r, const struct objects *objects, struct api_events *events);
