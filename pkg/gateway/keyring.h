/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The keys by which gateways know each other, so that one can be changed while they live.
 *
 * A file has one key in each line, at most KEYRING_MAX: the first one signs, all are good for who
 * is heard. (One that is not text is one key as a whole.) A key that is not in the file any more
 * is good for KEYRING_GRACE_MS longer: files change at another moment on each node. For the same
 * reason a peer that was not heard under our first key yet is told under all that there are; it
 * takes in the first that it knows, and the rest as replayed. So it does not matter in which
 * order nodes are changed, nor whether by one step or by two.
 */
#include "gateway/heartbeat.h"

#define KEYRING_MAX	 4
#define KEYRING_GRACE_MS 600000

struct keyring_key {
	struct heartbeat_key key;
	uint64_t id;   /* the same on each node; never sent */
	int64_t until; /* ms, of one that is not in the file any more; 0: it is */
};

/* By value; those of the file come first. */
struct keyring {
	struct keyring_key keys[2 * KEYRING_MAX];
	size_t n;
};

/* PURE. As a file has them; the error names the line, never what is in it. */
int keyring_parse(const char *text, size_t len, struct keyring *ret, struct err *e);
int keyring_load(const char *path, struct keyring *ret, struct err *e);
void keyring_add(struct keyring *ring, const void *bytes, size_t len);
void keyring_wipe(struct keyring *ring);

/* Takes over the keys of the file as it is now; those gone from it stay good for a while. False: it
 * has the same keys as before. */
bool keyring_turn(struct keyring *ring, const struct keyring *file, int64_t now);
void keyring_expire(struct keyring *ring, int64_t now);
int64_t keyring_due(const struct keyring *ring); /* for keyring_expire; INT64_MAX = never */
const struct keyring_key *keyring_find(const struct keyring *ring, uint64_t id); /* NULL */

/*
 * Under how many keys, from the first on, heartbeats go to a peer that was last heard under key
 * `id` (0: never): one if that is our first key, else all that the ring has.
 */
size_t keyring_tells(const struct keyring *ring, uint64_t id);
/* heartbeat_parse under any of them; fills in ret->key. */
int keyring_heartbeat(const struct keyring *ring, const void *buf, size_t len,
		      struct heartbeat *ret);
