/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* stateDir/snapshot, mapped read-only: what the daemon or `sluiced --once` compiled last. */
#include <stdbool.h>

#include "policy/image.h"

struct snapshot {
	void *data; /* NULL = none */
	size_t len;
	struct image img;
	struct image_info info;
};

/* -ENOENT when there is none, -EINVAL, -EPROTO for another version. */
int snapshot_open(struct snapshot *s, const char *state_dir, struct err *e);
void snapshot_close(struct snapshot *s);
/* Whether it was compiled from the policy folder as it is now (or from an API: then always). */
bool snapshot_fresh(const struct snapshot *s, const char *policy_dir);
