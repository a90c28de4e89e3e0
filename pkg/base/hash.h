/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * XXH64 (libxxhash): the same value on every node, every version, every byte
 * order. Rankings, spreads and tunnel ids depend on that; never change it.
 */
#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *p, size_t len, uint64_t seed);
struct iovec;
/* Of n pieces, as hash_bytes of all of them one after the other. */
uint64_t hash_pieces(const struct iovec *list, size_t n, uint64_t seed);
uint64_t hash_str(const char *s, uint64_t seed); /* NULL hashes as "" */
