/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Four namespaces around the table "inet sluice", without BPF: this process is the
 * node; a pod, an outside server and the far end of the tunnel (a plain veth named
 * sluice0) are one hop away each. A table "t" of the laboratory stands in for the
 * BPF programs: it gives packets from the pod or from sluice0 their mark.
 *
 *	pod 10.0.0.2, fd00::2 ── p0 [node] e0 ── ext 203.0.113.100, 2001:db8::100
 *	                             sluice0 ── tun: also 203.0.113.100, and pods 10.9.0.5, fd09::5
 *
 * node: 203.0.113.1, .10, .11 and 2001:db8::1, ::10 on e0. ext and tun have no way
 * back to the pod's own addresses but through the node's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "kernel/nft.h"

#define LAB_FOREIGN 0x12345u /* bits of the mark that are not ours, on every packet of the pod */
#define LAB_SHIFT   21
#define LAB_DIVERT  0x80000000u
#define LAB_ID(id)  ((uint32_t)(id) << LAB_SHIFT)

#define LAB_EXT4 "203.0.113.100"
#define LAB_EXT6 "2001:db8::100"
#define LAB_POD4 "10.0.0.2"
#define LAB_POD6 "fd00::2"

#define LAB_SOON  30000 /* ms for what must come */
#define LAB_NEVER 60	/* ms for what must not */

/*
 * The model at first: 16 and 17 are .10 (guarded) and .11 (not), 18 is ::10 (guarded);
 * nodes 14 and 700; inside are 10.0.0.0/16, 10.9.0.0/16, fd00::/16 and fd09::/16; ext
 * is a tunnel end.
 */
struct lab {
	int pod, ext, tun; /* namespaces */
	struct nft *n;
	struct nft_model m; /* in force after lab_new and lab_apply */
	struct nft_address addresses[3];
	uint32_t nodes[2];
	struct cidr inside[4];
	struct addr ends[2];
	struct err e;
};

struct lab *lab_new(void); /* skips without root */
void lab_free(struct lab *l);
/* The same as a test\'s state, which its teardown lets go. */
struct lab *lab_fresh(void **state);
int lab_teardown(void **state);
void lab_apply(struct lab *l);
uint64_t lab_counted(struct lab *l, unsigned int reason); /* packets */
/* So many, at the latest soon. */
void lab_expect_counted(struct lab *l, unsigned int reason, uint64_t packets);

/* Runs a command in the namespace; fails the test unless it succeeds. */
void lab_sh(int ns, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* From now on packets from the pod get this mark (and the foreign bits), those from sluice0 that
 * one and a priority. */
void lab_mark_pod(uint32_t mark);
void lab_mark_tunnel(uint32_t mark, uint32_t priority);
/* Did a packet of the pod leave with other foreign bits than it came with? */
bool lab_foreign_lost(void);

/* A bound socket in a namespace (-1: here), non-blocking. */
int lab_socket(int ns, int type, const char *addr, uint16_t port);
/* 0 or -errno */
int lab_send(int fd, const char *to, uint16_t port, const char *text);
/* Waits up to ms for a datagram; its source into from (static), NULL when none came. */
const char *lab_receive(int fd, int ms, uint16_t *ret_port);
/* TCP: 0 or -errno within ms */
int lab_connect(int fd, const char *to, uint16_t port, int ms);
/* One datagram: at `at` it is seen as coming `as` (NULL: it does not arrive), and is answered. */
void lab_datagram(int from, const char *to, uint16_t port, int at, const char *as);
/* The same on a new socket of the pod, to the outside server. */
void lab_pod_is_seen_as(struct lab *l, bool v4, const char *as);
