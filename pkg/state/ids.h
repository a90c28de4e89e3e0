/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Small numbers that stand for big things in the kernel, the same ones after a
 * restart: stateDir/ids.json. Written before the kernel hears of them, so a number
 * never means one thing here and another there. A number that was let go is the
 * last to be given out again: connections still carry it.
 *
 *	egress address (address, endpoint, vni) → id 16..1023 (mark, conntrack zone)
 *	node name → index 1..1023
 *	program (key of its content) → policy id 1.., never again for another purpose
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inet/addr.h"

struct ids;

struct ids_address {
	struct addr addr, endpoint;
	uint32_t vni;
};

struct ids_policy {
	uint64_t key; /* content: binding.key */
	uint32_t id;
	int64_t unused_since; /* seconds since the epoch, 0 = in use */
};

struct ids *ids_new(void);
void ids_free(struct ids *ids);
DEFINE_CLEANUP(struct ids *, ids_free);

/* A missing file is an empty table; -EBADMSG when it cannot be read as ours. */
int ids_load(int dirfd, struct ids **ret, struct err *e);
/* Writes only what changed since it was loaded or stored. */
int ids_store(struct ids *ids, int dirfd, struct err *e);

/* The id of an address: the one that it has, else a free one. Marks it as used. 0 or -ENOSPC. */
int ids_address(struct ids *ids, const struct ids_address *a, uint32_t *ret_id);
/* The same of one that has an id already; -ENOENT if it has none. */
int ids_address_keep(struct ids *ids, const struct ids_address *a, uint32_t *ret_id);
int ids_node(struct ids *ids, const char *name, uint32_t *ret_index); /* as ids_address */
/*
 * Which ids of addresses and nodes are still needed: begin clears all marks, then the functions
 * above are called for everything that is, then sweep frees the ids without a mark.
 */
void ids_begin(struct ids *ids);
void ids_sweep(struct ids *ids);

/*
 * Ids for all programs that are wanted (key given, id filled in; keys unique). The
 * same key keeps its id. A key that is new takes over the id that the caller put
 * there (0 = none), if no wanted key has it: all pods of that id go to this key, so an
 * edit swaps one policy's content and no pod's entry. The others become unused at now.
 */
void ids_policies(struct ids *ids, struct ids_policy *want, size_t n, int64_t now);
/* The id of one more program (found or new), between two calls of ids_policies. */
uint32_t ids_policy_add(struct ids *ids, uint64_t key);
/* All, sorted by id; borrowed until the next call that changes something. */
const struct ids_policy *ids_policy_list(const struct ids *ids, size_t *ret_n);
void ids_policy_drop(struct ids *ids, uint32_t id);
/* From now on new policies get ids above this one, the highest in the kernel: if ids.json was lost,
 * those in the kernel are in use all the same. */
void ids_policy_above(struct ids *ids, uint32_t id);
