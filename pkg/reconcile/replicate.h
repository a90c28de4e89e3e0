/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * failover.replicate: what the kernel says of the connections of this node's egress addresses
 * goes to whoever would be next for each (gateway/replica.h); and what others told is made when
 * this node takes an address from one that is silent.
 */
#include "base/cleanup.h"
#include "gateway/replica.h"
#include "json/json.h"
#include "loop/loop.h"
#include "reconcile/reconcile.h"

struct replicate;

int replicate_new(struct loop *loop, struct reconcile *r, uint16_t port, struct replicate **ret,
		  struct err *e);
void replicate_free(struct replicate *p); /* after the channels */
DEFINE_CLEANUP(struct replicate *, replicate_free);
struct moves_more *replicate_more(struct replicate *p);

/* A pass begins: who has what, and who is next, may be otherwise. */
void replicate_look(struct replicate *p);
/* This node takes it now: its connections into the kernel. */
void replicate_seize(struct replicate *p, struct addr a);
/* It is this node's, whoever has told it: what others said of it is of no use any more. */
void replicate_own(struct replicate *p, struct addr a);
/* restored: connections made after a crash; overruns: times that news were lost */
void replicate_counts(const struct replicate *p, struct replica_stats *ret, uint64_t *ret_restored,
		      uint64_t *ret_overruns);
struct json *replicate_status(const struct replicate *p);
