/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the programs have to say of a frame in the world of bpf_fixture.h, written from
 * pkg/bpf/README.md, abi.h and the RFCs, byte by byte, and from nothing of the programs:
 * two that read the same documents should agree.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testkit/bpf_fixture.h"

struct verdict {
	unsigned int reason; /* 0: passes */
	bool untouched;	     /* mark and priority stay as they came */
	uint32_t mark, priority;
};

struct verdict reference_from_pod(enum world_pod pod, const uint8_t *b, size_t len);

/* Of a frame in the tunnel; addresses as in abi.h. */
struct tunnel_key {
	struct slu_addr remote, local;
	uint32_t vni;
};

/*
 * Owned in addition to the world: ids 16 and 17 at their addresses, and 18 at NODE_V4
 * under this number. key NULL: it came by no tunnel. A pass has the mark, and the
 * sender's node as priority.
 */
#define REFERENCE_VNI 0x1234u
struct verdict reference_from_tunnel(const struct tunnel_key *key, const uint8_t *b, size_t len);
/* A pass has no mark, and the key that the frame leaves with in *ret. */
struct verdict reference_to_tunnel(uint32_t mark, const uint8_t *b, struct tunnel_key *ret);
