/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Docker sets FORWARD to drop, and no accept in a table of ours can help there. It leaves a chain
 * to whoever wants to say something first, DOCKER-USER; where the administrator lets us, one rule
 * of ours stands in it, and accepts what belongs to a connection with an egress address (its
 * conntrack mark has bits of ours, whichever way the packet goes):
 *
 *	-m connmark ! --mark 0x0/MASK -m comment --comment sluice-egress -j ACCEPT
 *
 * The chain is never made, and no other rule is read or touched. What writes it is the iptables
 * that Docker itself calls (of the same backend, under the same lock): a rule made otherwise would
 * be "incompatible" to it.
 */
#include <stdint.h>

#include "base/err.h"

struct nft;

/* Where such a chain is, and our rule in it: bits. */
enum docker_user {
	DOCKER_USER_NFT4 = 1,
	DOCKER_USER_NFT6 = 2,
	DOCKER_USER_LEGACY4 = 4,
	DOCKER_USER_LEGACY6 = 8,
};

/*
 * The rule for this mask in every chain DOCKER-USER that there is; mask 0: in none. *ret says in
 * which it stands. What fails does not keep the others from it. Runs programs: not for the plugin.
 */
int docker_user_apply(struct nft *n, uint32_t mask, unsigned int *ret, struct err *e);
