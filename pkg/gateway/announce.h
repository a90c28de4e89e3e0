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
 * Asks all of them, three times spread over timeout_ms, which is how long it takes. meanwhile
 * is called every few milliseconds: who listens has other things to do. Sorts list.
 */
void announce_probe_all(struct probe *list, size_t n, int timeout_ms, void (*meanwhile)(void *data),
			void *data);
int announce_send(uint32_t ifindex, const uint8_t own_mac[6], struct addr addr, struct err *e);
