/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The Lease at work: leader.h by requests and timers. */
#include "base/cleanup.h"
#include "loop/loop.h"
#include "reconcile/objects.h"
#include "source/kube.h"

struct api_lease;

struct api_lease_in {
	struct loop *loop;
	struct kube *kube;
	const struct objects *objects; /* whose Nodes are ranked */
	const char *node, *namespace;  /* copied */
	void (*won)(void *data);       /* we hold it now, and did not before */
	void *data;
};

int api_lease_new(const struct api_lease_in *in, struct api_lease **ret, struct err *e);
void api_lease_free(struct api_lease *l);
DEFINE_CLEANUP(struct api_lease *, api_lease_free);
/* Nobody has to wait until it expires. done is called once, from the loop; false: it was not ours.
 */
bool api_lease_release(struct api_lease *l, void (*done)(void *data), void *data);
bool api_lease_held(const struct api_lease *l);
