/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* ctnetlink (libmnl): listing, forgetting and making connections. Daemon only. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "inet/addr.h"

/*
 * Deletes all entries, of every zone, whose original source is one of these (sorted by addr_cmp),
 * in one walk of the table. *ret_n: how many were deleted. 0 or -errno.
 */
int conntrack_forget_sources(const struct addr *sources, size_t n, size_t *ret_n, struct err *e);

/* A TCP, UDP or SCTP connection as it was begun: the original direction's tuple. */
struct ct_flow {
	struct addr src, dst;
	struct addr seen;      /* whom the answers go to: src as the other side sees it */
	uint16_t sport, dport; /* host order */
	uint8_t proto;
	bool ended;    /* TCP or SCTP that is only waiting to be forgotten */
	bool dnat;     /* dst was translated */
	uint16_t zone; /* of the original direction */
	uint32_t mark;
	uint32_t id; /* the entry's; 0 = not known */
	/* what a copy of it needs besides */
	uint16_t seen_port; /* sport as the other side sees it, host order */
	bool answered, assured;
	uint32_t timeout;      /* seconds that are left */
	uint8_t tcp_state;     /* enum tcp_conntrack */
	uint8_t tcp_wscale[2]; /* original, reply; TCP_WSCALE_NONE: the option was not there */
};
#define TCP_WSCALE_NONE 0xff

/*
 * All entries whose original source is one of these (sorted by addr_cmp). One dump: the
 * kernel walks its whole table (about 300 bytes an entry through the socket), what comes
 * back is only what was asked for. A table that is
 * resized meanwhile may tell an entry twice.
 */
int conntrack_list(const struct addr *sources, size_t n, struct ct_flow **ret, size_t *ret_n,
		   struct err *e);
/* The same for entries whose source, as the other side sees it after translation, is one of these.
 */
int conntrack_list_seen(const struct addr *seen, size_t n, struct ct_flow **ret, size_t *ret_n,
			struct err *e);
/* A connection of any protocol, but for TCP that is closed: what the kernel's own limits count. */
struct ct_holding {
	struct addr pod, seen; /* its source, and as the other side sees it */
	uint32_t id;
	uint16_t zone; /* of the original direction */
	uint16_t port; /* of the pod, or what stands in its place in the packet; host order */
	uint8_t proto;
};
/* Entries that the other side sees as one of these (sorted), their source being translated. */
int conntrack_list_holdings(const struct addr *seen, size_t n, struct ct_holding **ret,
			    size_t *ret_n, struct err *e);
/* Entries with one of these sources (sorted), translated or not, whose mark has all bits of mark;
 * the kernel itself leaves out the others. */
int conntrack_list_pods(const struct addr *pods, size_t n, uint32_t mark, struct ct_holding **ret,
			size_t *ret_n, struct err *e);
/*
 * Creates entries for these connections in the state they have, with their source translated to
 * seen:seen_port. An entry that is there already stays as it is; one that cannot be made (its
 * ports are taken) is left out. *ret_n: how many were made. -errno only for what concerns all.
 */
int conntrack_make(const struct ct_flow *flows, size_t n, size_t *ret_n, struct err *e);
/* Deletes exactly these, if they are still there. */
int conntrack_forget(const struct ct_flow *flows, size_t n, size_t *ret_n, struct err *e);
