/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Two ways to learn of established connections whose mark has bits of ours: the kernel's events, as
 * they happen, and a list of all of them. Neither blocks: each is read in pieces when its
 * descriptor is readable. Entries that are older than the watch may change without an event
 * (nf_conntrack_events=2), so whoever must know lists them from time to time.
 */
#include "base/cleanup.h"
#include "kernel/conntrack.h"

struct ct_watch;

struct ct_watch_ops {
	/* In this state now; gone: f's addresses, ports, protocol and zone only. */
	void (*news)(void *data, const struct ct_flow *f, bool gone);
	void (*listed)(void *data, const struct ct_flow *f);
};

/* mark_mask: which bits of the mark are ours. data is borrowed. 0 or -errno. */
int ct_watch_new(uint32_t mark_mask, const struct ct_watch_ops *ops, void *data,
		 struct ct_watch **ret, struct err *e);
void ct_watch_free(struct ct_watch *w);
DEFINE_CLEANUP(struct ct_watch *, ct_watch_free);

int ct_watch_fd(const struct ct_watch *w);
/* Reads the events that wait, up to a bound: 1 = there may be more, 0, -ENOBUFS = some were lost.
 */
int ct_watch_read(struct ct_watch *w);

int ct_watch_list_fd(const struct ct_watch *w);
int ct_watch_list_begin(struct ct_watch *w); /* starts over if a list is under way */
/* The next piece: 1 = there is more to come, 0 = that was all, -EINTR = the table changed its size
 * meanwhile and some may be missing. */
int ct_watch_list_read(struct ct_watch *w);
