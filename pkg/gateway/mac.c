/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC (RFC 2104) over the SHA-256 of libcrypto, by its interface of 1.1: a state is a plain
 * struct there, so that the two blocks of a key are hashed once and not for each message. A gateway
 * among sixteen makes and checks 300 tags a second; the newer interface allocates and frees for
 * each of them, which was an eighth of all that such a daemon does.
 */
#define OPENSSL_API_COMPAT 0x10100000L
#include "gateway/mac.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#define BLOCK 64

_Static_assert(MAC_SIZE <= SHA256_DIGEST_LENGTH, "a tag is the first bytes of one");

/* There is one key, two while it is replaced. */
static struct keyed {
	SHA256_CTX inner, outer; /* behind the key's block */
	uint8_t key[MAC_KEY_MAX];
	size_t len; /* 0 = none yet */
} kept[2];

static bool keyed_is(const struct keyed *k, const void *key, size_t len)
{
	return k->len == len && len && memcmp(k->key, key, len) == 0;
}

static void block_hash(SHA256_CTX *ret, const uint8_t key[BLOCK], uint8_t pad)
{
	uint8_t block[BLOCK];

	for (size_t i = 0; i < BLOCK; i++)
		block[i] = key[i] ^ pad;
	SHA256_Init(ret);
	SHA256_Update(ret, block, sizeof(block));
	OPENSSL_cleanse(block, sizeof(block));
}

static void keyed_make(struct keyed *k, const void *key, size_t len)
{
	uint8_t block[BLOCK] = {0};

	if (len > BLOCK)
		SHA256(key, len, block);
	else
		memcpy(block, key, len);
	block_hash(&k->inner, block, 0x36);
	block_hash(&k->outer, block, 0x5c);
	OPENSSL_cleanse(block, sizeof(block));
	memcpy(k->key, key, len);
	k->len = len;
}

/* The one used last comes first. */
static const struct keyed *keyed_get(const void *key, size_t len)
{
	if (!keyed_is(&kept[0], key, len)) {
		const struct keyed first = kept[0];

		kept[0] = kept[1];
		kept[1] = first;
	}
	if (!keyed_is(&kept[0], key, len))
		keyed_make(&kept[0], key, len);
	return &kept[0];
}

void mac_make(const void *key, size_t key_len, const struct iovec *parts, size_t n,
	      uint8_t ret[MAC_SIZE])
{
	const struct keyed *k = keyed_get(key, key_len);
	SHA256_CTX inner = k->inner, outer = k->outer;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	for (size_t i = 0; i < n; i++)
		SHA256_Update(&inner, parts[i].iov_base, parts[i].iov_len);
	SHA256_Final(digest, &inner);
	SHA256_Update(&outer, digest, sizeof(digest));
	SHA256_Final(digest, &outer);
	memcpy(ret, digest, MAC_SIZE);
}

bool mac_equal(const uint8_t a[MAC_SIZE], const uint8_t b[MAC_SIZE])
{
	return CRYPTO_memcmp(a, b, MAC_SIZE) == 0;
}
