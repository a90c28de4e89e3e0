/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the daemon exports, gathered when somebody asks: each number is counted in one place,
 * which status reads, too. README.md of pkg/metrics has the table.
 */
#include "base/cleanup.h"
#include "loop/loop.h"
#include "reconcile/reconcile.h"

struct api;
struct event_log;
struct scrape;

/* A scrape takes milliseconds of the loop: what has no bound of its own is given one. */
#define SCRAPE_POLICIES	 1000 /* that are told one by one, by name */
#define SCRAPE_COUNTERS	 2048 /* of their rules that are read */
#define SCRAPE_ADDRESSES 1024

struct scrape_in {
	struct loop *loop;
	const struct daemon_conf *conf; /* with metrics_port */
	struct reconcile *reconcile;
	const struct event_log *events;
	const struct api *api; /* NULL: objects come from files */
};

int scrape_new(const struct scrape_in *in, struct scrape **ret, struct err *e);
void scrape_free(struct scrape *s);
DEFINE_CLEANUP(struct scrape *, scrape_free);
