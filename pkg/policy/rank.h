/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who owns an address: rendezvous hashing of (address, node name). PURE: the same
 * candidates in any order give the same owner; a node that leaves moves only its own.
 */
#include <stddef.h>

#include "inet/addr.h"

/* Index of the owner in names[0..n), or -1 when n is 0. */
long rank_owner(struct addr addr, const char *const *names, size_t n);
