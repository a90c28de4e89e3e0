/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who owns which address of a gateway. PURE, and nobody is asked: equal inputs in any order
 * give the same owners on every node.
 *
 * Each address has a home: rendezvous hashing of (address, node name) over all candidates,
 * dead or alive, where no node takes more than its share, ceil(1.25 × mean); a node that is
 * full keeps those that rank it highest. Where every node that an address may go to is full,
 * others make room, and where none can, the share is exceeded. An address is where its home
 * is, as long as that lives. So a node that dies moves its own addresses, one that returns
 * takes exactly those back, and nothing else moves, but for what pinned ranges force: they may
 * leave no room for an orphan unless another address goes elsewhere. A node that is added to or
 * removed from the candidates changes homes: its own share, and a few that did not get where
 * they rank highest.
 *
 * A preference comes before the hash: an address ranks the nodes that it prefers above all others,
 * and they it above those that do not prefer them. It goes as far as the share does.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inet/addr.h"

#define RANK_NONE UINT32_MAX

/*
 * An address goes to the best of those it may go to: a node that is joining is better than none.
 * One that is KEEPING is the home that it was where others are better, and takes in no orphan, nor
 * an address that it is the home of and has not got: one that is new goes to others.
 */
enum rank_tier { RANK_AWAY, RANK_JOINING, RANK_KEEPING, RANK_LIVE };

struct rank_in {
	const struct addr *addrs; /* no two are the same */
	const uint32_t *classes;  /* by address, what it may go to; NULL: all 0 */
	size_t n_addrs;
	const char *const *names; /* of the candidates, no two are the same */
	const uint8_t *tiers;	  /* by candidate, enum rank_tier; NULL: all are live */
	size_t n_nodes;
	const bool *eligible; /* [class * n_nodes + node]; NULL: everything is */
	const bool *prefers;  /* as eligible; NULL: nothing is preferred */
	size_t n_classes;     /* 0 counts as 1 */
	/* No node gets more than so many, even if an address has no owner then; 0: no bound. */
	size_t most;
	/* Is it published that the node has the address? NULL: a home that is KEEPING is taken to
	 * have all of its own. */
	bool (*has)(void *data, size_t addr, size_t node);
	void *data;
};

/* By address, indexes into names or RANK_NONE: its home, and who owns it now. */
void rank_assign(const struct rank_in *in, uint32_t *ret_home, uint32_t *ret_owner);
/* ceil(1.25 × mean): what no node exceeds as long as others have room. */
size_t rank_share(size_t n_addrs, size_t n_nodes);

/* For a single address: the index of its owner in names[0..n), or -1 when n is 0. */
long rank_owner(struct addr addr, const char *const *names, size_t n);
