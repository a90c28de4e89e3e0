/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What gateways tell one another several times a second: one UDP packet of fixed length for
 * each peer, in network byte order, under HMAC-SHA256 (RFC 2104, the tag cut to 16 bytes) with
 * one of the cluster's shared keys (keyring.h). PURE. What the fields are for is said in
 * members.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "gateway/mac.h"

#define HEARTBEAT_LEN	  128
#define HEARTBEAT_MACS	  4
#define HEARTBEAT_VERSION 1

enum heartbeat_state {
	HEARTBEAT_JOINING = 1, /* there, but it does not take its addresses yet */
	HEARTBEAT_LIVE = 2,
	HEARTBEAT_BLIND = 3,   /* an interface for its addresses has no carrier */
	HEARTBEAT_DRAINED = 4, /* it is to have none that another node may have */
};

#define HEARTBEAT_HEARD 0x01 /* the sender hears the one whom this is for */
#define HEARTBEAT_TAKEN 0x02 /* it holds addresses that are at home there */

struct heartbeat {
	uint64_t from, to;	   /* heartbeat_name */
	uint64_t incarnation, seq; /* both only grow; seq begins anew with the incarnation */
	uint64_t echo_incarnation,
		echo_seq;     /* the highest that the sender has from `to`, 0 = none */
	uint64_t time_ms;     /* since 1970; told, never judged by */
	uint64_t config;      /* digest: which addresses there are */
	uint32_t interval_ms; /* until the next one, at most */
	uint8_t state, flags;
	uint8_t n_macs; /* under which it answers for its addresses */
	uint8_t macs[HEARTBEAT_MACS][6];
	/* Not in the packet: the key that it came under; of one that goes out, the one that was
	 * last heard from its peer, 0 = none (keyring.h). */
	uint64_t key;
};

#define HEARTBEAT_KEY_MIN 16
#define HEARTBEAT_KEY_MAX MAC_KEY_MAX
struct heartbeat_key {
	uint8_t bytes[HEARTBEAT_KEY_MAX];
	size_t len;
};

uint64_t heartbeat_name(const char *node);
void heartbeat_emit(const struct heartbeat *h, const struct heartbeat_key *key,
		    uint8_t ret[HEARTBEAT_LEN]);
/* 0; -EBADMSG: no heartbeat; -EKEYREJECTED: of another key, or changed on its way */
int heartbeat_parse(const void *buf, size_t len, const struct heartbeat_key *key,
		    struct heartbeat *ret);
