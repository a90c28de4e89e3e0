/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Carries out a plan's steps in their order. A step that fails does not stop what does
 * not depend on it; what does (an address's last state, pods whose program or whose nft
 * table is not there) is left out, so that the packet path never gets ahead of its
 * guards. The next pass sees what is missing.
 */
#include "dataplane/observe.h"
#include "dataplane/plan.h"

struct dp_outcome {
	size_t done, failed, skipped;
	bool programs_failed; /* the caller's tables no longer describe the kernel */
	struct err err;	      /* the first failure: "step object: kernel's words" */
};

/* 0 when every step that was not skipped by the caller succeeded; else ret->err.code. */
int dp_apply(const struct dp_kernel *k, struct dp_plan *p, struct dp_outcome *ret);
