/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What channel.c, which is one of them, and channels.c, which makes them, share. */
#include "gateway/channel.h"

#define CHANNEL_NONCE 16

struct hello {
	uint8_t magic[4], version, pad[3];
	uint8_t nonce[CHANNEL_NONCE];
};

struct channel {
	struct channels *all;
	struct channel *next;
	int fd;
	bool opener, greeted, closing, dead;
	bool late;	    /* its time is over, but something of it waited to be read */
	bool proven, known; /* an authentic frame came; it comes from where a peer lives */
	uint32_t events;    /* that epoll waits for */
	struct addr peer;
	uint8_t own[CHANNEL_NONCE], other[CHANNEL_NONCE];
	uint64_t sent, seen; /* frames */
	uint64_t key;	     /* id; 0: this side listens, and was told nothing yet */
	struct loop_timer *silent;
	uint8_t *in, *out;
	size_t n_in, n_out, off_out;
};

struct channels {
	struct loop *loop;
	struct channel_keys keys;
	const struct channel_ops *ops;
	void *data;
	int fd;
	struct listener *listener; /* on fd */
	uint64_t refused;
	struct channel *list;
	struct loop_timer *sweep;
};

void channel_refuse(struct channel *c, const char *why);
void channel_free(struct channel *c);			      /* without a word to anybody */
void channel_put(struct channel *c, const void *p, size_t n); /* to be sent when it can be */
void channel_on_ready(int fd, uint32_t events, void *data);
void channel_on_silence(void *data);
void channels_on_sweep(void *data);
