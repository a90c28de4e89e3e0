/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The pinned maps and programs under BPFFS/v<SLU_ABI>/. The door to libbpf
 * (together with loader.c and kernel/tc.c, which attaches). The plugin only ever
 * opens what is pinned; loading is the daemon's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bpf/abi.h"
#include "bpf/drop_reasons.h"
#include "inet/cidr.h"

enum bpf_prog {
	BPF_PROG_FROM_POD,	  /* "slu_from_pod": veth ingress, host side */
	BPF_PROG_TO_TUNNEL,	  /* "slu_to_tunnel": sluice0 egress */
	BPF_PROG_FROM_TUNNEL,	  /* "slu_from_tunnel": sluice0 ingress */
	BPF_PROG_MACVLAN_EGRESS,  /* "slu_macvlan_out": parent egress: verdicts */
	BPF_PROG_MACVLAN_INGRESS, /* "slu_macvlan_in": parent ingress: remembers inbound flows */
	BPF_PROG_COUNT,
};

enum bpf_map {
	BPF_MAP_PODS,
	BPF_MAP_MACVLANS,
	BPF_MAP_POLICIES,
	BPF_MAP_RANGES,
	BPF_MAP_IDENTITIES,
	BPF_MAP_PICKS,
	BPF_MAP_ADDRS,
	BPF_MAP_NODES,
	BPF_MAP_SENDERS,
	BPF_MAP_OWNED,
	BPF_MAP_INSIDE,
	BPF_MAP_CONFIG,
	BPF_MAP_DROPS,
	BPF_MAP_INBOUND,
	BPF_MAP_KEPT,
	BPF_MAP_COUNT,
};

const char *bpf_prog_name(enum bpf_prog p); /* also the pin's name; 15 characters at most */
const char *bpf_map_name(enum bpf_map m);

/* Opens pins lazily: one BPF_OBJ_GET at first use. dir is the bpffs folder without the version. */
struct bpf_pins;
int bpf_pins_open(const char *dir, struct bpf_pins **ret,
		  struct err *e); /* -ENOENT: not loaded; -EPERM … */
void bpf_pins_close(struct bpf_pins *p);
int bpf_prog_fd(struct bpf_pins *p, enum bpf_prog prog, int *ret_fd, struct err *e); /* borrowed */
int bpf_prog_id(struct bpf_pins *p, enum bpf_prog prog, uint32_t *ret_id, struct err *e);
int bpf_map_fd(struct bpf_pins *p, enum bpf_map map, int *ret_fd, struct err *e);

/* Element access by map; key and value have the map's sizes (abi.h). -ENOENT as usual. */
int bpf_map_set(struct bpf_pins *p, enum bpf_map m, const void *key, const void *value,
		struct err *e);
/* Only what is there: -ENOENT instead of a new element. */
int bpf_map_change(struct bpf_pins *p, enum bpf_map m, const void *key, const void *value,
		   struct err *e);
int bpf_map_lookup(struct bpf_pins *p, enum bpf_map m, const void *key, void *value, struct err *e);
int bpf_map_delete(struct bpf_pins *p, enum bpf_map m, const void *key,
		   struct err *e); /* gone = 0 */
/* All keys and values of a hash or LPM map; *ret_keys, *ret_values malloc'd, dense. */
int bpf_map_dump(struct bpf_pins *p, enum bpf_map m, void **ret_keys, void **ret_values,
		 size_t *ret_n, struct err *e);

/*
 * A policy's prefixes: makes a new inner LPM, fills it, then switches "policies"[id]
 * to it; on return no program runs on the old one (the kernel waits for RCU).
 */
int bpf_policy_set(struct bpf_pins *p, uint32_t policy, const struct slu_lpm_key *keys,
		   const struct slu_class *classes, size_t n, struct err *e);
int bpf_policy_dump(struct bpf_pins *p, uint32_t policy, struct slu_lpm_key **ret_keys,
		    struct slu_class **ret_classes, size_t *ret_n, struct err *e);

/* Sum over CPUs, SLU_REASON_MAX elements. */
int bpf_drops(struct bpf_pins *p, struct slu_count *counts, struct err *e);

struct slu_addr slu_addr_make(struct addr a);
struct addr slu_addr_get(struct slu_addr a);
struct slu_lpm_key slu_lpm_key_make(struct cidr c);
const char *drop_reason_name(unsigned int reason); /* "denied"; "unknown" */
const char *drop_reason_text(unsigned int reason);
