/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The BPF programs loaded in a world of their own: network namespace, mount
 * namespace, bpffs, one policy that has every outcome. A test writes a packet,
 * runs a program on it by BPF_PROG_TEST_RUN and looks at verdict, mark and drop
 * counters. The device of a run is lo, ifindex 1.
 */
#include <stdint.h>

#include "bpf/maps.h"
#include "testkit/packet.h"

#define WORLD_DIR "/tmp/bpf" /* on a tmpfs of the test's own */

/* The folder of this ABI below another one: "/v5". */
#define ABI_FOLDER_(n)	 "/v" #n
#define ABI_FOLDER_OF(n) ABI_FOLDER_(n)
#define ABI_FOLDER	 ABI_FOLDER_OF(SLU_ABI)

#define POD_MAC	       "02:00:00:00:00:05"
#define POD_V4	       "10.1.0.5"
#define EXTERNAL_V4    "203.0.113.1" /* a node's ExternalIP */
#define POD_V6	       "fd00:1::5"
#define POD_LINK_LOCAL "fe80::ff:fe00:5"
#define GATEWAY_MAC    "02:00:00:00:00:01"
#define NODE_V4	       "10.0.0.1" /* our own: config.self_* */
#define NODE_V6	       "fd00::1"
#define PEER_V4	       "10.0.0.2" /* node 2 */
#define PEER_V6	       "fd00::2"

enum world_pod {
	POD_FREE,	 /* no policy */
	POD_GOVERNED,	 /* policy 1 */
	POD_QUARANTINED, /* no policy, labels unknown */
	POD_EXEMPT,	 /* policy 1, no source check */
	POD_EXEMPT_FREE, /* no policy, no source check */
	POD_WITHOUT_MAP, /* policy 99, which is not there */
	POD_NONE,	 /* not in the map */
};

/*
 * Policy 1 by destination: 198.18.X.0/24 and 2001:db8:X::/48 with X from this
 * list; anything else outside is allowed as the node.
 */
enum world_net {
	NET_AS_NODE,
	NET_DENIED,
	NET_REJECTED,
	NET_LOCAL,    /* ids 16 (v4) and 17 (v6), owned here */
	NET_REMOTE,   /* ids 18 and 19, owned elsewhere */
	NET_NO_OWNER, /* ids 20 and 21 */
	NET_OR_NODE,  /* the same, unavailable: Node */
	NET_FAMILY,   /* no address of this family */
	NET_NONE_OK,  /* no address, as the node */
	NET_NO_PICK,  /* pick is 0 */
	NET_FREE_ID,  /* id 22 is free */
	NET_SPREAD,   /* three picks, by pod: ids 16, 18, 24 */
	NET_PORTS,    /* TCP 80-89 denied, UDP 53 allowed, ICMP echo and ICMPv6 echo as REMOTE,
		       * SCTP 9 rejected, protocol 47 denied; else as the node */
	NET_COUNT,
};
/* 192.0.2.53 and 2001:db8:53::53 are inside for port 53 alone, 172.16.0.0/12 always, 10/8 and
 * fd00::/8 as pods. 169.254.0.0/16 and fe80::/10 have identity LOCAL, 169.254.169.254 is denied. */

#define WORLD_COUNTER 100 /* rule NET of policy 1 counts in hits[WORLD_COUNTER + NET] */

struct world_run {
	uint32_t verdict; /* TC_ACT_* */
	uint32_t mark, priority;
	uint8_t b[PACKET_MAX];
	uint32_t len;
};

/* Once per process; skips the test when not root. */
void world(void);
/* Programs and empty maps alone. They end with the process, or with the caller's umount of /tmp. */
struct bpf_pins *world_load(void);
struct bpf_pins *world_pins(void);
void world_pod_set(enum world_pod kind, uint32_t spread);
struct slu_pod world_pod_make(enum world_pod kind, uint32_t spread);
/* The same with SLU_POD_KEEP, and what is kept: who a flow of the pod's began as. */
void world_pod_kept(enum world_pod kind, uint32_t policy);
void world_keep(uint8_t proto, uint16_t sport, const char *dst, uint16_t dport, uint32_t id);
#define WORLD_UDP_SPORT 40000		   /* of world_udp() */
uint64_t world_drops(unsigned int reason); /* packets so far */
/* Waits until there are so many, some seconds at most. */
void world_drops_soon(unsigned int reason, uint64_t packets);
void world_run(enum bpf_prog prog, const struct packet *p, uint32_t mark, struct world_run *ret);
/* As sluicectl asks: leaves no trace. */
void world_probe(enum bpf_prog prog, const struct packet *p, struct world_run *ret);
/* Average nanoseconds of one run. */
uint32_t world_time(enum bpf_prog prog, const struct packet *p, uint32_t mark, uint32_t repeat);
struct slu_addr world_addr(const char *text);
uint32_t world_mark(uint32_t id); /* id in its place under the default mask */
uint32_t world_remote(int v6);	  /* of NET_REMOTE */
/* What from_pod leaves for an id, WORLD_DIVERT or a reason; 0: nothing was decided. */
uint32_t world_priority(uint32_t id);
#define WORLD_DIVERT 0x80000000u

/*
 * Policies of a test's own: their parts are written to places that nobody has used yet.
 * world_policy puts the policy in force and counts the epoch up.
 */
struct world_prefix {
	struct slu_lpm_key prefix;
	uint32_t
		value; /* a class, or 1 in a set; where no prefix is: 0. Class 0: no rule matches */
};
struct slu_lpm_key world_prefix(const char *addr, uint32_t len); /* len as people write it */
uint32_t world_tree(const struct world_prefix *v, size_t n);	 /* the root; longest prefix wins */
uint32_t world_class(const struct slu_range *v, size_t n);	 /* v[0].lo is filled in */
uint32_t world_class_one(struct slu_cell cell);
uint32_t world_rules(const struct slu_rule *v, size_t n); /* the place of the first */
struct slu_cell world_cell(unsigned int step, uint16_t rule, uint16_t via);
void world_policy(uint32_t id, const struct slu_policy *policy);
void world_policy_delete(uint32_t id);
void world_epoch(void);
void world_pod_of(uint32_t policy, uint32_t audit); /* POD_GOVERNED, but by these */
/*
 * Everything, of both families, is one cell. Rule i has the action of the i-th letter of "adrp"
 * (in capitals: and the identity REMOTE), and counts in counter + i unless counter is 0.
 */
struct slu_policy world_policy_of(const char *actions, uint32_t counter, struct slu_cell cell);
void world_policy_one(uint32_t id, const char *actions, struct slu_cell cell); /* in force */
struct slu_cell world_no_rule(void);

/* What pods send through their gateway. */
void world_frame(struct packet *p, const char *src, const char *dst);
void world_udp(struct packet *p, const char *src, const char *dst, uint16_t port);
void world_net(enum world_net net, int v6, char buf[48]); /* an address in it */

/* Runs and asserts: passed with this mark, or dropped and counted once under this reason. */
void world_expect_mark(enum bpf_prog prog, const struct packet *p, uint32_t mark, const char *what);
void world_expect_drop(enum bpf_prog prog, const struct packet *p, unsigned int reason,
		       const char *what);
/* The same of from_pod; and of a datagram to port 443 of dst. */
void pod_passes(const struct packet *p, uint32_t mark, const char *what);
void pod_dropped(const struct packet *p, unsigned int reason, const char *what);
void pod_udp(const char *dst, uint32_t mark, const char *what);
