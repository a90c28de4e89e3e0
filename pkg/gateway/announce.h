/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Claiming an address on a segment. probe: an ARP probe (RFC 5227) or a DAD-like
 * neighbour solicitation (RFC 4862) for addr; an answer within timeout_ms means
 * somebody has it. announce: gratuitous ARP as a request (replies to broadcast
 * are ignored within the receiver's locktime), unsolicited NA with override to
 * ff02::1 (RFC 4861 7.2.6).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inet/addr.h"

/* One question of many that are asked at once. */
struct probe {
	uint32_t ifindex;
	uint8_t own_mac[6];
	struct addr addr;
	/* the answer */
	bool taken;
	uint8_t mac[6]; /* whose it is */
	struct err err; /* code 0: it was asked */
};

/*
 * The sockets. The kernel takes 10 to 20 ms to close one that frames come by (until no processor
 * can be in the middle of a packet for it): a long time between a probe and the claim, and for
 * each of many announcements. So the one that sends is kept, and those of a probe are
 * closed when there is time.
 */
struct announcer;

struct announcer *announcer_new(void);
void announcer_free(struct announcer *an);
DEFINE_CLEANUP(struct announcer *, announcer_free);
/* Closes the sockets that probes have left open. Call it when nothing else is to be done. */
void announcer_rest(struct announcer *an);

/*
 * Probes all addresses of list, each three times, spread over timeout_ms, and returns after that
 * time with the answers in list, which it sorts. meanwhile is called every few milliseconds, for
 * what a daemon must not leave undone for so long.
 */
struct probe_round {
	struct probe *list;
	size_t n;
	int timeout_ms;
	void (*meanwhile)(void *data); /* NULL: nothing */
	void *data;
};
void announce_probe_all(struct announcer *an, const struct probe_round *round);
/* Sends one announcement of addr from that interface. 0 or -errno. */
int announce_send(struct announcer *an, uint32_t ifindex, const uint8_t own_mac[6],
		  struct addr addr, struct err *e);
