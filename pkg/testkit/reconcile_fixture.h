/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node for struct reconcile: network and mount namespace of the test's own, folders
 * on a tmpfs, eth0 (192.0.2.1/24, 2001:db8::1/64) with its other end in the namespace
 * "peer" (192.0.2.2, 2001:db8::2). A test writes policies, makes pods with records,
 * and runs passes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "bpf/maps.h"
#include "reconcile/reconcile.h"
#include "state/record.h"

/* Policies of the default namespace, named as the app that they select. */
#define WEB "{\"app\":\"web\"}"

#define POLICY(name, rules)                                          \
	"apiVersion: sluice.dev/v1alpha1\n"                          \
	"kind: EgressPolicy\n"                                       \
	"metadata: {name: " name "}\n"                               \
	"spec:\n"                                                    \
	"  subject: {podSelector: {matchLabels: {app: " name "}}}\n" \
	"  rules:\n" rules

#define AS_OFFICE "  - {name: out, action: Allow, via: {gateway: office}}\n"
#define DENY_DOCS "  - {name: no, action: Deny, to: [{cidr: 203.0.113.0/24}]}\n"

#define RNODE "/mnt" /* the tmpfs: state, run, bpf, policies */

int rnode_setup(void **state); /* skips when not root */
int rnode_teardown(void **state);

struct reconcile *rnode(void);
struct daemon_conf *rnode_conf(void);
void rnode_restart(void); /* as a new process would: only disk and kernel remember */

/* Passes until one asks for no other; the last one's answer, its error below. */
int rnode_pass(void);
const char *rnode_error(void);
size_t rnode_changes(void); /* steps that it carried out */
/* Passes that must succeed; and then a pass that must find nothing to do. */
void rnode_settle(void);

/* A file of the policy folder; NULL removes it. */
void rnode_policy(const char *name, const char *yaml);
/* The SluiceConfig, Nodes n1 (this one) and n2 (192.0.2.2), the gateway "office" on NODE. */
void rnode_cluster(const char *gateway_node);

/* Namespace NAME, veth-NAME with 10.244.1.ADDR, and the record that an ADD would leave. labels:
 * JSON. */
uint32_t rnode_pod(const char *name, int addr, const char *labels);
/* The record's age, so that it may be collected. */
void rnode_pod_age(const char *name, int seconds);
bool rnode_record(const char *name);
bool rnode_map_get(enum bpf_map map, const void *key, void *value);
/* The map entry; false when there is none. */
bool rnode_entry(uint32_t ifindex, struct slu_pod *ret);
/* What policy id decides for dst: SLU_ALLOW…, and the addresses' ids behind it (0: none). */
uint32_t rnode_decision(uint32_t policy, const char *dst, uint32_t *ret_address_id);
struct slu_egress rnode_egress(uint32_t id);
