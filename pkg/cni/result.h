/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * prevResult: what the plugins before us made. It is passed on as the tree that
 * came, so that members this version of the specification does not have survive;
 * only what we need is read out of it, in the forms of 0.3.0 to 1.1.0 alike.
 */
#include <stddef.h>
#include <stdint.h>

#include "cni/error.h"
#include "inet/addr.h"
#include "json/json.h"

struct cni_ip {
	struct addr addr;
	uint8_t prefix_len; /* as people write it; 0 = not said */
};

/*
 * The addresses on interface ifname: entries of "ips" whose interface index leads
 * to it. An entry without an index (or with a useless one) is on every interface;
 * when no entry leads to ifname, those that lead to a host side interface count.
 * At most max; 0, -E2BIG, or -EINVAL with the place.
 */
int cni_result_addrs(const struct json *prev, const char *ifname, struct cni_ip *ret_ips,
		     size_t max, size_t *ret_n, struct err *e);

/* prevResult with the given cniVersion, malloc'd; everything else as it came. */
char *cni_result_emit(const struct json *prev, const char *version);
