/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What becomes of established connections whose mark has bits of ours, as the kernel tells it,
 * and all of them at once, neither waiting for the kernel: both are read in pieces when their
 * descriptor is readable. Entries that are older than the watch may change without a word
 * (nf_conntrack_events=2), so whoever must know looks at all of them from time to time.
 */
#include "base/cleanup.h"
#include "kernel/conntrack.h"

struct ct_watch;

struct ct_watch_ops {
	/* In this state now; gone: f's addresses, ports, protocol and zone only. */
	void (*news)(void *data, const struct ct_flow *f, bool gone);
	void (*listed)(void *data, const struct ct_flow *f);
};

/* mark_mask: of the mark's bits that are ours. */
int ct_watch_new(uint32_t mark_mask, const struct ct_watch_ops *ops, void *data,
		 struct ct_watch **ret, struct err *e);
void ct_watch_free(struct ct_watch *w);
DEFINE_CLEANUP(struct ct_watch *, ct_watch_free);

int ct_watch_fd(const struct ct_watch *w);
/* Takes what waits, up to a bound: 1 = there may be more. -ENOBUFS: some news were lost. */
int ct_watch_read(struct ct_watch *w);

int ct_watch_list_fd(const struct ct_watch *w);
int ct_watch_list_begin(struct ct_watch *w); /* anew, if one is under way */
/* The next piece: 1 = there is more to come, 0 = that was all, -EINTR = the table changed its size
 * meanwhile and some may be missing. */
int ct_watch_list_read(struct ct_watch *w);
