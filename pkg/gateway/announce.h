/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Claiming an address on a segment. probe: an ARP probe (RFC 5227) or a DAD-like
 * neighbour solicitation (RFC 4862) for addr; an answer within timeout_ms means
 * somebody has it. announce: gratuitous ARP as a request (replies to broadcast
 * are ignored within the receiver's locktime), unsolicited NA with override to
 * ff02::1 (RFC 4861 7.2.6).
 */
#include <stdint.h>

#include "base/err.h"
#include "inet/addr.h"

/* 0 = free, 1 = taken (ret_mac says by whom), -errno. Three probes spread over timeout_ms. */
int announce_probe(uint32_t ifindex, const uint8_t own_mac[6], struct addr addr, int timeout_ms,
		   uint8_t ret_mac[6], struct err *e);
int announce_send(uint32_t ifindex, const uint8_t own_mac[6], struct addr addr, struct err *e);
