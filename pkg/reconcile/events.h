/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The event log: one JSON object a line for each connection that a rule with `log`
 * decided on, and for each that policies in mode Audit would decide otherwise.
 *
 *	{"time":"2026-01-31T09:00:00.000123Z","node":"n1","namespace":"shop","pod":"payments-1",
 *	 "verdict":"Deny","policy":"EgressPolicy shop/payments","rule":"bank","protocol":"TCP",
 *	 "source":"10.244.1.5","sourcePort":40000,"destination":"198.51.100.7","destinationPort":443,
 *	 "destinationNames":["*.example.com"],"audit":{"verdict":"Allow"}}
 *
 * verdict is what happened to the packet; audit is there only when it would be another one
 * (while SluiceConfig's audit holds: what was suspended); policy and rule are absent when no
 * rule decided. A reader that does not keep up costs
 * lines, which are counted, and never the daemon's time.
 */
#include "base/cleanup.h"
#include "loop/loop.h"
#include "reconcile/reconcile.h"

struct event_log;

/* path "-": standard output. Opened again by event_log_reopen (after a rotation). */
int event_log_new(struct loop *loop, struct reconcile *r, const char *path, struct event_log **ret,
		  struct err *e);
void event_log_free(struct event_log *log);
DEFINE_CLEANUP(struct event_log *, event_log_free);
uint64_t event_log_lost(const struct event_log *log); /* lines, since the start */
int event_log_reopen(struct event_log *log, struct err *e);
/* After each pass: tells what was waiting for it, reads from the maps that are in force now. */
int event_log_follow(struct event_log *log, struct err *e);
