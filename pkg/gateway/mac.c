/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/mac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"

void mac_make(const void *key, size_t key_len, const struct iovec *parts, size_t n,
	      uint8_t ret[MAC_SIZE])
{
	static EVP_MAC *hmac;
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	uint8_t whole[EVP_MAX_MD_SIZE];
	EVP_MAC_CTX *ctx;
	size_t len;
	int ok;

	if (!hmac)
		hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	if (!ctx)
		oom();
	ok = EVP_MAC_init(ctx, key, key_len, params);
	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_MAC_update(ctx, parts[i].iov_base, parts[i].iov_len);
	ok = ok && EVP_MAC_final(ctx, whole, &len, sizeof(whole));
	EVP_MAC_CTX_free(ctx);
	if (!ok)
		oom(); /* of a fixed algorithm over memory nothing else can fail */
	memcpy(ret, whole, MAC_SIZE);
}

bool mac_equal(const uint8_t a[MAC_SIZE], const uint8_t b[MAC_SIZE])
{
	return CRYPTO_memcmp(a, b, MAC_SIZE) == 0;
}
