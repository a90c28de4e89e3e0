/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Connections under an egress address, between what this kernel calls them and what any
 * gateway understands. An entry of a gateway (bpf/abi.h) has the address's id as the zone of
 * its original direction; its mark is the number of the pod's node, or DIVERT alone when the
 * pod is of this node. Both numbers are this node's own.
 */
#include "dataplane/model.h"
#include "gateway/moves.h"
#include "kernel/conntrack.h"

/* PURE. It is a connection under an egress address, as a gateway has it. */
bool moving_is_ours(const struct dp_model *m, const struct ct_flow *f);
/* PURE. False: it is no connection that could go on elsewhere. m: as the kernel has it. */
bool moving_from_flow(const struct dp_model *m, const struct ct_flow *f, struct move_flow *ret);
/* The other way: as this gateway would have them, those that it can carry. ret: room for n. */
size_t moving_to_flows(const struct dp_model *m, const struct move_flow *flows, size_t n,
		       struct ct_flow *ret);

/* On this node's kernel, as moves_ops (gateway/moves.h) asks for; m as above. 0 or -errno. */
int moving_list(const struct dp_model *m, const struct addr *addrs, size_t n,
		struct move_flow **ret, size_t *ret_n, struct err *e);
int moving_make(const struct dp_model *m, const struct move_flow *flows, size_t n, size_t *ret_n,
		struct err *e);
/*
 * Prepares for connections of this node's own pods to leave by tunnel: makes the entries that they
 * will have then, because answers may come by the tunnel before the first packet leaves by it.
 */
int moving_divert(const struct dp_model *m, const struct move_flow *flows, size_t n, struct err *e);
int moving_forget(const struct dp_model *m, const struct addr *addrs, size_t n, size_t *ret_n,
		  struct err *e);
