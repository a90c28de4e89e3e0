/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What proves that a gateway said something: HMAC-SHA256 (RFC 2104), its first half. The door to
 * libcrypto. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MAC_SIZE    16
#define MAC_KEY_MAX 256

/* Over the parts in a row; key_len at most MAC_KEY_MAX. Of one thread. */
void mac_make(const void *key, size_t key_len, const struct iovec *parts, size_t n,
	      uint8_t ret[MAC_SIZE]);
/* In the same time wherever they differ. */
bool mac_equal(const uint8_t a[MAC_SIZE], const uint8_t b[MAC_SIZE]);
