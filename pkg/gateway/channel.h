/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Frames between the gateways of a cluster, over TCP, so that what one says cannot be forged,
 * changed, replayed or reordered by who does not have the shared key. It is not secret.
 *
 *	each side, first	"SLGW" version(1) 0 0 0 nonce(16)
 *	a frame			length of the payload (4, network order) type(1) 0 0 0
 *				payload, mac(16)
 *	mac			the first half of HMAC-SHA256 under one of the shared keys, over
 *				the name of this protocol, the side, both nonces, the frame's
 *				number, its head and its payload
 *
 * A channel stays with the key of its first frame, and ends when that key is not good any more. A
 * side that sends something else, too much, or nothing for CHANNEL_SILENT_MS is cut off. Who has
 * connected must send an authentic frame within CHANNEL_PROVE_MS; until then it may lose its place
 * to one that connects later: there are CHANNEL_UNPROVEN such places for each address, and
 * CHANNEL_STRANGERS for all addresses together that are not known as peers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/keyring.h"
#include "inet/addr.h"
#include "loop/loop.h"

#define CHANNEL_MAX_FRAME (64u << 10)
#define CHANNEL_MAX_OPEN  64
#define CHANNEL_SILENT_MS 15000
#define CHANNEL_PROVE_MS  5000
#define CHANNEL_STRANGERS 16
#define CHANNEL_UNPROVEN  4 /* of one address */

struct channel;
struct channels;

struct channel_ops {
	/* The other side has greeted: frames may be sent. Whether it has the key is not known yet.
	 */
	void (*opened)(void *data, struct channel *c);
	/* An authentic frame. -errno ends the channel. */
	int (*frame)(void *data, struct channel *c, uint8_t type, const void *payload, size_t n);
	/* It has ended; why NULL: the other side closed it. Not called for channel_close. */
	void (*closed)(void *data, struct channel *c, const char *why);
};

struct channel_keys {
	const struct keyring *ring; /* lives longer; may change at any time, but never be empty */
	/* The id of a key that the peer is known to have, 0 = not known. NULL: of none is it known.
	 */
	uint64_t (*heard_under)(void *data, struct addr peer);
	void *data;
};

struct channels_in {
	struct loop *loop;
	struct channel_keys keys;
	uint16_t port; /* to listen on, all addresses; 0: any, see channels_port */
	const struct channel_ops *ops;
	void *data;
};

int channels_new(const struct channels_in *in, struct channels **ret, struct err *e);
void channels_free(struct channels *all); /* ends them without a word */
uint16_t channels_port(const struct channels *all);

/* Towards a gateway; returns before it is connected. */
int channel_open(struct channels *all, struct addr to, uint16_t port, struct channel **ret,
		 struct err *e);
/* payload is copied. -ENOTCONN before "opened", -ENOBUFS when 16 MiB wait to be sent. */
int channel_send(struct channel *c, uint8_t type, const void *payload, size_t n);
void channel_close(struct channel *c); /* after what waits has been sent, for up to a second */
struct addr channel_peer(const struct channel *c);
bool channel_ours(const struct channel *c);   /* this side opened it */
bool channel_opened(const struct channel *c); /* "opened" has been told */
/* How many were ended since the start because the other side had no good key, did not show it in
 * time, lost its place to a later one, or broke the protocol. */
uint64_t channels_refused(const struct channels *all);
size_t channels_open(const struct channels *all); /* now, of either side */
