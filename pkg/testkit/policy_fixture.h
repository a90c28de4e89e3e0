/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Policies for tests, from YAML text to what a packet meets.
 *	struct policy_fixture f;
 *	policy_fixture_init(&f, yaml, "n1", "eth0 192.0.2.1/24 2001:db8::1/64, eth1
 *203.0.113.1/24"); … f.c … policy_fixture_done(&f); Whatever fails here fails the test with its
 *message.
 */
#include "policy/compile.h"
#include "testkit/addr_fixture.h"

#define FIXTURE_MAX_IFACES 8
#define FIXTURE_MAX_ADDRS  8

struct policy_fixture {
	struct doc_set *set;
	struct compiled *c;
	struct node_view node;
	struct node_iface ifaces[FIXTURE_MAX_IFACES];
	struct cidr addrs[FIXTURE_MAX_IFACES][FIXTURE_MAX_ADDRS];
	char names[FIXTURE_MAX_IFACES][16];
	struct cidr cluster_cidr;
};

/* Cluster CIDR 10.244.0.0/16. */
void policy_fixture_init(struct policy_fixture *f, const char *yaml, const char *node_name,
			 const char *ifaces);
/* The steps of it, for tests that bring a set of their own. */
void policy_fixture_node(struct policy_fixture *f, const char *node_name, const char *ifaces);
void policy_fixture_compile(struct policy_fixture *f);
void policy_fixture_done(struct policy_fixture *f);
/* NULL: no gateway has it. */
const struct egress_addr *policy_fixture_addr(const struct policy_fixture *f, const char *text);

struct doc_set *docs_from_yaml(const char *yaml);
/* "app=web tier=db" */
struct labels labels_from_text(const char *text);
/* "tcp/443", "udp/53", "icmp/8" (type), "" = tcp/1 */
uint32_t l4_key_of(const char *text);
