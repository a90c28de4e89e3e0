/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a node's key file and as the one that comes after it: refused with the line, or
 * keys within bounds. While the files change from node to node, a node with the old one and one
 * that has turned to the new one hear each other; after the grace only the new file's keys count.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOCK 64 /* of SHA-256 */

static bool parsed(const uint8_t *data, size_t size, struct keyring *ret)
{
	struct err e = {0};

	if (keyring_parse((const char *)data, size, ret, &e) < 0) {
		if (!*e.msg || strchr(e.msg, '\n'))
			abort();
		return false;
	}
	if (ret->n == 0 || ret->n > KEYRING_MAX)
		abort();
	for (size_t i = 0; i < ret->n; i++) {
		const struct keyring_key *k = &ret->keys[i];

		if (k->until || k->key.len < HEARTBEAT_KEY_MIN || k->key.len > HEARTBEAT_KEY_MAX ||
		    keyring_find(ret, k->id) != k)
			abort();
	}
	return true;
}

/* HMAC fills up a key to its block with zeros, and takes the hash of a longer one. */
static bool alike(const struct heartbeat_key *a, const struct heartbeat_key *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 &&
	       (a->len == b->len || (a->len <= BLOCK && b->len <= BLOCK));
}

static bool has_alike(const struct keyring *ring, const struct heartbeat_key *key)
{
	for (size_t i = 0; i < ring->n; i++)
		if (alike(&ring->keys[i].key, key))
			return true;
	return false;
}

/* What `from` says under its first key. */
static bool hears(const struct keyring *to, const struct keyring *from)
{
	const struct heartbeat h = {.from = 1,
				    .to = 2,
				    .incarnation = 1,
				    .seq = 1,
				    .interval_ms = 100,
				    .state = HEARTBEAT_LIVE};
	uint8_t wire[HEARTBEAT_LEN];
	struct heartbeat got = {0};

	heartbeat_emit(&h, &from->keys[0].key, wire);
	if (keyring_heartbeat(to, wire, sizeof(wire), &got) < 0)
		return false;
	if (!alike(&keyring_find(to, got.key)->key, &from->keys[0].key) || got.seq != h.seq)
		abort();
	return true;
}

static bool same_keys(const struct keyring *a, const struct keyring *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (a->keys[i].until || a->keys[i].id != b->keys[i].id)
			return false;
	return a->n == b->n;
}

static void turn(const struct keyring *old, const struct keyring *fresh)
{
	struct keyring turned = *old;
	bool changes = keyring_turn(&turned, fresh, 1000);

	if (changes == same_keys(old, fresh) || turned.n > 2 * KEYRING_MAX)
		abort();
	if (!hears(&turned, old) || !hears(&turned, fresh))
		abort();
	if (keyring_turn(&turned, fresh, 2000))
		abort(); /* once is enough */
	keyring_expire(&turned, 999 + KEYRING_GRACE_MS);
	if (!hears(&turned, old))
		abort();
	keyring_expire(&turned, 1000 + KEYRING_GRACE_MS);
	if (!same_keys(&turned, fresh) || keyring_due(&turned) != INT64_MAX)
		abort();
	if (hears(&turned, old) != has_alike(fresh, &old->keys[0].key))
		abort();
}

/* The first two bytes say where the second file begins. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyring old, fresh;
	size_t cut;

	if (size < 2)
		return 0;
	cut = (data[0] | (size_t)data[1] << 8) % (size - 1);
	data += 2;
	size -= 2;
	if (parsed(data, cut, &old) & parsed(data + cut, size - cut, &fresh))
		turn(&old, &fresh);
	return 0;
}
