/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one-attachment half of the data plane, used by the plugin and the daemon
 * alike: map entry first, then the program. Needs only pinned objects and one
 * device: no dump, no load.
 */
#include "base/err.h"
#include "bpf/maps.h"
#include "dataplane/model.h"

/* -EADDRINUSE when it has an address that no pod may have: a node's, or an egress address. */
int dp_addrs_check(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e);
/* Sets a->names by the pod's policy in the kernel, for a caller that has not compiled policies. */
int dp_names_of(struct bpf_pins *pins, struct dp_attachment *a, struct err *e);
/*
 * Map entry, then attach. Idempotent. After a failure a pod that had an entry has that one or the
 * new one; another's entry is gone, and what was attached stays: dp_detach takes it off.
 */
int dp_attach(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e);
/*
 * For an interface that is about to go with its pod: the map entry alone. What sends
 * until then meets a program that drops what it does not know. A macvlan: dp_detach.
 */
int dp_close(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e);
/* Program off (veth; a parent keeps it while "macvlans" has entries of it), then map entry. Device
 * gone = fine. */
int dp_detach(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e);
/*
 * 0 = in force and reached by packets; -ENOENT/-ESTALE/… with what is wrong:
 * entry missing or different, program missing, something before it takes the packets.
 */
int dp_check(struct bpf_pins *pins, const struct dp_attachment *a, struct err *e);
