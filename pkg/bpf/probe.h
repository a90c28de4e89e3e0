/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asks the program that is in force what it would make of a packet, without one being
 * sent: BPF_PROG_TEST_RUN of the pinned slu_from_pod. Counts and tells nothing.
 */
#include "bpf/maps.h"

struct probe {
	uint32_t ifindex; /* host side of the pod's veth, in this network namespace */
	uint8_t mac[6];	  /* of the pod */
	struct addr src, dst;
	uint32_t l4_key; /* protocol << 16 | port, ICMP: type << 8 | code */
};

struct probe_answer {
	bool untouched;	  /* no policy decides */
	uint32_t reason;  /* enum slu_reason, 0 = it goes on; SLU_REASON_MAX: dropped at once */
	uint32_t id;	  /* address id; 0 = as the node, or inside */
	struct addr addr; /* the id's, what the outside will see */
};

/* -ENODEV when the interface is not there. */
int bpf_probe(struct bpf_pins *p, const struct probe *probe, struct probe_answer *ret,
	      struct err *e);
