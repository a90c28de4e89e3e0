/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is written back to the API: each owner of an egress address tells of it in the gateway's
 * status (field manager "sluice-NODE"), and whoever holds the Lease writes all conditions (field
 * manager "sluice"). By server-side apply, and only where something else is written than is true.
 */
#include "base/cleanup.h"
#include "loop/loop.h"
#include "reconcile/reconcile.h"
#include "source/kube.h"

struct api_tell;

int api_tell_new(struct loop *loop, struct kube *kube, struct reconcile *r, struct api_tell **ret,
		 struct err *e);
void api_tell_free(struct api_tell *t);
DEFINE_CLEANUP(struct api_tell *, api_tell_free);
/* Something changed that may have to be told: soon, and once for many. */
void api_tell_soon(struct api_tell *t);
bool api_tell_leads(const struct api_tell *t); /* we hold the Lease */
/* As api_lease_release. */
bool api_tell_end(struct api_tell *t, void (*done)(void *data), void *data);
