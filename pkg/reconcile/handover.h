/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * This node's part when addresses go from one living gateway to another: which leave, which
 * come, and what the kernel knows of their connections. The words between gateways are in
 * gateway/moves.h, what a pass does with an address in claims.h.
 */
#include "base/cleanup.h"
#include "gateway/channel.h"
#include "gateway/moves.h"
#include "gateway/replica.h"
#include "loop/loop.h"
#include "reconcile/reconcile.h"

struct handover;

struct handover_in {
	struct loop *loop;
	struct reconcile *reconcile; /* that has joined a membership */
	uint16_t port;		     /* TCP */
	void (*changed)(void *data); /* a pass is due */
	void *data;
};

int handover_new(const struct handover_in *in, struct handover **ret, struct err *e);
void handover_free(struct handover *h);
DEFINE_CLEANUP(struct handover *, handover_free);
struct json *handover_status(const struct handover *h); /* of what is replicated */
struct json *handover_channels(const struct handover *h);

struct handover_counts {
	struct moves_counts moves;
	uint64_t refused;    /* channels_refused */
	uint64_t told, made; /* connections of planned moves, since the start */
	struct replica_stats replica;
	uint64_t restored, overruns; /* see replicate_counts */
};
void handover_counts(const struct handover *h, struct handover_counts *ret);
