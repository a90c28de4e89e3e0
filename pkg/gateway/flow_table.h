/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Connections of several egress addresses, each once, by what the other side sees of them
 * (protocol, both ends): no two of an address are alike in that. PURE. Each is queued until it
 * is taken out of the queue, in the order in which it came.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gateway/moves.h"

struct flow_entry {
	struct move_flow flow;
	TAILQ_ENTRY(flow_entry) of_all, of_addr, of_queue;
	struct flow_entry *next; /* of the same hash */
	uint32_t round, since;	 /* the caller's: when it was seen last, and queued */
	bool queued;
};
TAILQ_HEAD(flow_list, flow_entry);

struct flow_addr; /* the connections of one address */

struct flow_table {
	struct flow_entry **heads;
	size_t n, cap, max;
	struct flow_addr **addrs; /* sorted; those that have connections */
	size_t n_addrs;
	struct flow_list all, queue;
};

void flow_table_init(struct flow_table *t, size_t max);
void flow_table_done(struct flow_table *t);
/* Adds f, or replaces the connection with the same ends; *ret_new: it was added. NULL: no room. */
struct flow_entry *flow_table_put(struct flow_table *t, const struct move_flow *f, bool *ret_new);
struct flow_entry *flow_table_find(const struct flow_table *t, const struct move_flow *f);
void flow_table_remove(struct flow_table *t, struct flow_entry *e);
void flow_table_queue(struct flow_table *t,
		      struct flow_entry *e); /* at the end, if it is not queued */
void flow_table_unqueue(struct flow_table *t, struct flow_entry *e);
/*
 * Removes, or only takes out of the queue, the connections of these addresses: at the cost of
 * those, however many others there are.
 */
void flow_table_forget(struct flow_table *t, const struct addr *seen, size_t n);
void flow_table_unqueue_all(struct flow_table *t, const struct addr *seen, size_t n);
/* Copies of the connections of these addresses, at the same cost; *ret is malloc'd. Returns how
 * many. */
size_t flow_table_list(const struct flow_table *t, const struct addr *seen, size_t n,
		       struct move_flow **ret);
