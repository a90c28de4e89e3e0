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
	BPF_PROG_FROM_POD,    /* "slu_from_pod": veth ingress, host side */
	BPF_PROG_TO_POD,      /* "slu_to_pod": veth egress, host side, where a policy has names */
	BPF_PROG_TO_TUNNEL,   /* "slu_to_tunnel": sluice0 egress */
	BPF_PROG_FROM_TUNNEL, /* "slu_from_tunnel": sluice0 ingress */
	BPF_PROG_MACVLAN_EGRESS,  /* "slu_macvlan_out": parent egress: verdicts */
	BPF_PROG_MACVLAN_INGRESS, /* "slu_macvlan_in": parent ingress: remembers inbound flows */
	BPF_PROG_COUNT,
};

enum bpf_map {
	BPF_MAP_PODS,
	BPF_MAP_MACVLANS,
	BPF_MAP_POLICIES,
	BPF_MAP_TREE,
	BPF_MAP_RANGES,
	BPF_MAP_RULES,
	BPF_MAP_HITS,
	BPF_MAP_AUDITS,
	BPF_MAP_NAMED,
	BPF_MAP_NAME_CLASSES,
	BPF_MAP_PATTERNS,
	BPF_MAP_NAME_FLOWS,
	BPF_MAP_NAME_COUNTS,
	BPF_MAP_DNS_STREAMS,
	BPF_MAP_EVENTS,
	BPF_MAP_EVENT_LIMITS,
	BPF_MAP_EPOCH,
	BPF_MAP_IDENTITIES,
	BPF_MAP_PICKS,
	BPF_MAP_ADDRS,
	BPF_MAP_NODES,
	BPF_MAP_SENDERS,
	BPF_MAP_OWNED,
	BPF_MAP_INSIDE,
	BPF_MAP_SERVICES,
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

/* Elements [first, first + n) of a map that is an array; reading past its end is -ENOENT. */
int bpf_map_write(struct bpf_pins *p, enum bpf_map m, uint32_t first, const void *values, size_t n,
		  struct err *e);
int bpf_map_read(struct bpf_pins *p, enum bpf_map m, uint32_t first, void *values, size_t n,
		 struct err *e);

/*
 * Nodes of the tree. Chunks are made when they are first written to. A node is seen as it
 * is in the kernel: borrowed until the pins are closed, NULL when its chunk is not there (a
 * tree_node_fn of bpf/tree.h; ctx: the pins).
 */
int bpf_tree_write(struct bpf_pins *p, uint32_t first, const struct slu_tree_node *nodes, size_t n,
		   struct err *e);
const struct slu_tree_node *bpf_tree_node(void *pins, uint32_t node);

/* What was remembered of earlier answers counts no more: after every change (abi.h, "epoch"). */
int bpf_epoch_bump(struct bpf_pins *p, struct err *e);

/* Sum over CPUs, SLU_REASON_MAX elements. */
int bpf_drops(struct bpf_pins *p, struct slu_count *counts, struct err *e);
int bpf_audits(struct bpf_pins *p, struct slu_count *counts, struct err *e); /* SLU_AUDIT_MAX */
int bpf_name_counts(struct bpf_pins *p, uint64_t *counts, struct err *e);    /* SLU_NAMES_MAX */
/* Of the counters [first, first + n) of "hits". */
int bpf_hits(struct bpf_pins *p, uint32_t first, size_t n, struct slu_hit *ret, struct err *e);
int bpf_hits_reset(struct bpf_pins *p, uint32_t counter, struct err *e); /* it counts from 0 */
/* The same of "event_limits"; only told and lost mean something. */
int bpf_event_limits(struct bpf_pins *p, uint32_t first, size_t n, struct slu_event_limit *ret,
		     struct err *e);

struct slu_addr slu_addr_make(struct addr a);
struct addr slu_addr_get(struct slu_addr a);
struct slu_lpm_key slu_lpm_key_make(struct cidr c);
const char *drop_reason_name(unsigned int reason); /* "denied"; "unknown" */
const char *drop_reason_text(unsigned int reason);
/* Of enum slu_audit_outcome and enum slu_names_count. */
const char *audit_name(unsigned int outcome); /* "would-allow" */
const char *audit_text(unsigned int outcome);
const char *names_count_name(unsigned int what); /* "answers" */
const char *names_count_text(unsigned int what);
