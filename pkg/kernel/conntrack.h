/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* ctnetlink (libmnl): forgetting connections. Daemon only. */
#include <stddef.h>

#include "base/err.h"
#include "inet/addr.h"

/* Deletes entries whose original source is addr, in every zone. *ret_n counts them. */
int conntrack_forget_source(struct addr addr, size_t *ret_n, struct err *e);
