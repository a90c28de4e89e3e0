/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How much room is left for connections: of each egress address that this node carries, and
 * of the kernel's table.
 *
 * A source port of an address can be used once for each remote address, port and protocol, so
 * what runs out is the ports towards one remote. portsUsed is what the busiest remote has of
 * them. The kernel gives ports from 1024 on to what came from there (nf_nat_core.c).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inet/addr.h"
#include "kernel/conntrack.h"

#define USAGE_PORTS   64512 /* 1024 to 65535 */
#define USAGE_WARN_OF 100
#define USAGE_WARN    80 /* of a hundred */

struct usage_addr {
	struct addr addr;
	uint64_t connections;
	uint64_t ports; /* towards the remote that has most of them */
	struct addr remote;
	uint16_t remote_port;
	bool warned; /* in the log, since it last was well below */
};

struct usage {
	struct usage_addr *list; /* sorted by addr */
	size_t n;
	int64_t count, max; /* of the kernel's table; max 0 = not known */
	int64_t next_at;    /* clock_ms() */
	bool warned;
};

bool usage_near(uint64_t used, uint64_t limit);
/* True: it is near, and was not. Near no more only when it is well below. */
bool usage_warns(bool *near, uint64_t used, uint64_t limit);
/* PURE. flows are seen as one of u's addresses or are left out. */
void usage_count(struct usage *u, const struct ct_flow *flows, size_t n);
/* When it is due: which addresses there are, sorted, and what the kernel says of them. */
void usage_refresh(struct usage *u, const struct addr *addrs, size_t n, int64_t now);
void usage_done(struct usage *u);
const struct usage_addr *usage_find(const struct usage *u, struct addr a);
