/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From objects to what the kernel is told, in three pure steps:
 *
 *   policy_compile   doc_set + node  → struct compiled: gateways resolved to addresses
 *                    and identities, one ordered list of rules, subjects indexed
 *   policy_resolve   pod → the policies that select it, in list order → a "binding"
 *   policy_flatten   binding → struct program: prefix → class of (protocol, port)
 *                    ranges, each with its one decision. Longest prefix is only the
 *                    lookup: order, exceptions and overlaps are resolved here.
 *
 * Pods with the same binding share one program (a policy id in the kernel).
 * Equal inputs give byte-equal outputs whatever order objects arrived in.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/doc.h"

/* What the compiler must know of the node it compiles for. Borrowed during policy_compile only. */
struct node_iface {
	const char *name;
	struct cidr *addrs; /* address with its on-link prefix length: host bits NOT cleared */
	size_t n_addrs;
};

/* How available a candidate of gateways is. */
struct node_tier {
	const char *name;
	uint8_t tier; /* enum rank_tier */
};

struct node_holding {
	struct addr addr;
	const char *node;
};

struct node_view {
	const char *name;
	const struct node_iface *ifaces; /* without addresses that sluice put there */
	size_t n_ifaces;
	const struct cidr *cluster_cidrs; /* --cluster-cidr; SluiceConfig's are added */
	size_t n_cluster_cidrs;
	int64_t now; /* seconds since 1970: rules outside their schedule are absent */
	const struct node_tier *tiers; /* sorted by name; a node not in it is RANK_LIVE */
	size_t n_tiers;
	/* Addresses that stay here whatever the ranking says, as long as it is not known yet which
	 * other nodes are there. */
	const struct addr *kept; /* sorted */
	size_t n_kept;
	/* Which node has which address, as owners have published it; sorted by address. NULL: not
	 * known; then a home that is not ready (RANK_KEEPING) counts as having its addresses. */
	const struct node_holding *holdings;
	size_t n_holdings;
};

/* One address a pod may appear as. addr is what the outside sees. */
struct egress_addr {
	struct addr addr;
	char *gateway;
	char *owner;	      /* node name by rank among the candidates; NULL = none */
	char *next;	      /* who would own it if this node were away; NULL: nobody, or it is not
				 this node's, or its connections are not to be kept there */
	char *home;	      /* who owns it when all of them live; NULL with addressFrom, too */
	bool local;	      /* owner is this node */
	bool assign;	      /* local, and we put it on the interface (false with addressFrom) */
	char *interface;      /* local: where it goes; NULL otherwise */
	struct addr next_hop; /* of the gateway, when of this family; zero: none is said */
	bool announce;
	bool spare; /* nobody appears as it now; connections that began under it may still be open
		     */
	struct addr endpoint; /* tunnel's outer end: addr itself, or the owner's node address */
	uint32_t vni;	      /* VNI_ADDRESS, or by gateway and family with addressFrom */
	struct doc_limits limits;
	uint8_t problem; /* enum slu_reason when nobody can own it here, else 0 */
};

/* Who a flow appears as. Index 0 of compiled.identities is the CNI's own way (as the node). */
struct identity {
	char *gateway; /* "" for index 0 and for via node */
	/* Which of the picks a connection gets: the only one of its family, unless … */
	bool per_pod;	    /* … spread Pod: by its pod, or */
	bool per_flow;	    /* … spread Connection: by itself; picks is then a table of slots, and
			       each address stands in many of them */
	bool or_node;	    /* unavailable: Node */
	uint32_t *picks[2]; /* [0] IPv4, [1] IPv6: indexes into compiled.addrs */
	uint32_t n_picks[2];
	uint8_t none[2]; /* enum slu_reason used when n_picks is 0 */
};
/* It has no addresses, because other identities fill the kernel's map of picks. */
bool identity_has_no_room(const struct identity *id);

/* A rule in evaluation order; `default` blocks are rules of their own step. */
struct flat_rule {
	const struct doc_policy *policy;
	const struct doc_rule *rule; /* NULL for a default block */
	uint8_t step;		     /* enum policy_step */
	bool to_all;		     /* no `to`: every destination outside */
	/*
	 * A destination object's ports narrow the rule's for its own items. A rule whose items
	 * differ in ports is several flat rules in a row, alike in all else. items: this one
	 * has the rule's own `cidr` and `nodes` items; ports: what holds here, n 0 = everything.
	 */
	bool items;
	uint32_t identity; /* index, or IDENTITY_NONE when the rule has no via */
	uint32_t n_nodes, n_ports, n_sets, n_cidrs, n_names;
	struct cidr *nodes;	/* what the rule's `nodes` items stand for: hosts, sorted, unique */
	struct l4_range *ports; /* sorted, disjoint */
	/* What its `destination`, `destinationSelector` and `fqdn` items stand for here. */
	uint32_t *sets;	    /* into compiled_sets: large ones, stored once. Sorted, unique */
	struct cidr *cidrs; /* of small destinations. Sorted, unique */
	uint32_t *names;    /* into compiled_names. Sorted, unique */
};

/*
 * The CIDRs of one destination object that has at least COMPILED_SET_MIN of them. The
 * kernel holds it once, however many policies refer to it.
 */
#define COMPILED_SET_MIN 256
/* Names of all rules, and of those that the objects of one namespace bring. */
#define COMPILED_NAMES_MAX    65536
#define COMPILED_NAMES_OF_ONE 8192
struct compiled_set {
	char *name;		  /* for messages: "Kind namespace/name" */
	const struct cidr *cidrs; /* sorted, none within another */
	size_t n;
	uint64_t key; /* doc_destination.digest */
};

enum policy_step { STEP_ADMIN, STEP_PODS, STEP_SERVICES, STEP_DEFAULTS, STEP_BASELINE };
#define IDENTITY_NONE UINT32_MAX
#define VNI_ADDRESS   0x534c55u

struct compiled; /* owns a copy of nothing: the doc_set must outlive it */

/* -EINVAL with err when cluster CIDRs are unknown. A missing gateway is no error: see identity. */
int policy_compile(const struct doc_set *set, const struct node_view *node, struct compiled **ret,
		   struct err *e);
/*
 * The same result, byte for byte, at the cost of what changed. A policy is taken over from previous
 * if its document is the very same one (sets share documents: doc_set_add_part) and everything
 * around it is equal. After this, previous (NULL: none) has lost such policies and may only be
 * given to compiled_free. The doc_set that previous was made of must be there during the call; it
 * is not needed afterwards.
 */
int policy_compile_again(const struct doc_set *set, const struct node_view *node,
			 struct compiled *previous, struct compiled **ret, struct err *e);
void compiled_free(struct compiled *c);

const struct egress_addr *compiled_addrs(const struct compiled *c, size_t *ret_n);
/* The first that is this one, or NULL. */
const struct egress_addr *compiled_addr_find(const struct compiled *c, struct addr a);
const struct identity *compiled_identities(const struct compiled *c, size_t *ret_n);
/*
 * Prefixes that are inside, sorted, unique: cluster CIDRs, InternalIPs of nodes,
 * this node's own addresses, the endpoints of default/kubernetes.
 */
const struct cidr *compiled_inside(const struct compiled *c, size_t *ret_n);
/*
 * Addresses that lie outside, and at which this node listens as others do: broadcast of its IPv4
 * subnets, subnet-router anycast of its IPv6 ones (RFC 4291 2.6.1). Sorted, unique.
 */
const struct cidr *compiled_shared(const struct compiled *c, size_t *ret_n);
/* Those of them that hold pods and services. */
const struct cidr *compiled_cluster_cidrs(const struct compiled *c, size_t *ret_n);
/* ExternalIPs of nodes, as they were said: outside for every rule, and a node's all the same. */
const struct cidr *compiled_external(const struct compiled *c, size_t *ret_n);
/*
 * A Service's address and port behind which something lies outside. A packet to it is judged as
 * one to each of these endpoints; those inside are left out. Sorted by address and port.
 * By a nodePort it is reached at every node's addresses, too. One with more endpoints than the
 * kernel looks at (SLU_MAX_ENDPOINTS) is closed.
 */
struct compiled_endpoint {
	struct addr addr;
	uint32_t l4_key;
};
struct compiled_service {
	struct compiled_endpoint at;
	struct compiled_endpoint *endpoints; /* sorted, unique, of at's family and protocol */
	size_t n;
	const struct doc_meta *meta; /* the Service's */
};
const struct compiled_service *compiled_services(const struct compiled *c, size_t *ret_n);
uint64_t compiled_services_digest(const struct compiled *c); /* of all of them; never 0 */
const struct compiled_service *compiled_service(const struct compiled *c, struct addr dst,
						uint32_t l4_key); /* NULL: none */
/* Nodes, this one included, sorted by name: senders and tunnel ends. */
struct compiled_node {
	const char *name;
	struct addr v4, v6; /* zero when it has none */
};
const struct compiled_node *compiled_nodes(const struct compiled *c, size_t *ret_n);
/*
 * Who stands in for whom: the candidates of every gateway that this node is a candidate of,
 * this node among them, sorted by name; empty when it is none or nobody else is. failover is
 * the quickest of the gateways they share, with the longest hold-down. Malloc'd; names are c's.
 */
struct compiled_peer {
	struct compiled_node node;
	struct doc_failover failover;
	bool not_ready; /* its Node object says so */
};
void compiled_peers(const struct compiled *c, struct compiled_peer **ret, size_t *ret_n);
const struct doc_config *compiled_config(const struct compiled *c); /* NULL when none */
/* When a schedule will next begin or end to hold, seconds since 1970; INT64_MAX = never. */
int64_t compiled_next_edge(const struct compiled *c);
const struct compiled_set *compiled_sets(const struct compiled *c, size_t *ret_n);
/* Patterns of `fqdn` items, canonical ("api.example.com", "*.example.com"), sorted, unique. */
const char *const *compiled_names(const struct compiled *c, size_t *ret_n);
uint16_t
compiled_tunnel_mtu(const struct compiled *c);	    /* smallest that a gateway asks for, 0 = none */
uint64_t compiled_digest(const struct compiled *c); /* equal inputs, equal digest */
/* Whether a connection may cause an event: a rule has `log`, or something is only audited. */
bool compiled_tells(const struct compiled *c);

/* ---- a pod ---- */

struct pod_info {
	const char *namespace; /* "default" when unknown */
	const char *name;      /* may be "" */
	struct labels labels;  /* with the implied ones */
	bool labels_known;     /* false: in a cluster, could not be learned */
};

/*
 * The policies that select a pod, as indexes into the ordered list of all
 * policies that have an effect on this node; n 0 = none does. key is a digest of
 * those policies, their names (hits and log lines name them) and their content as
 * compiled: equal key, equal program. It is never 0 when n is not.
 */
struct binding {
	uint32_t *policies;
	size_t n;
	uint64_t key;
};

/* 0, or 1 when the pod's labels are not known and would matter: then the binding is empty. */
int policy_resolve(const struct compiled *c, const struct pod_info *pod, struct binding *ret);
/*
 * With the policies in mode Audit in their places: what would be decided if they were
 * enforced. Empty when none of them selects the pod.
 */
int policy_resolve_audit(const struct compiled *c, const struct pod_info *pod, struct binding *ret);
void binding_done(struct binding *b);
/*
 * A digest of the identities that the binding's rules give, whatever they allow: where two digests
 * are equal, pods appear under the same addresses for every destination. 0: a policy has
 * existingConnections: Reset, so an edit must never count as one that changes no identity.
 */
uint64_t binding_identities(const struct compiled *c, const struct binding *b);
const struct doc_policy *compiled_policy(const struct compiled *c, uint32_t index);
const struct flat_rule *compiled_policy_rules(const struct compiled *c, uint32_t index,
					      size_t *ret_n); /* a default block comes last */
size_t compiled_policy_count(const struct compiled *c);
/* hash of namespace/name: the pod's place in spread Pod. */
uint32_t pod_spread(const char *namespace, const char *name);
/* hash of the namespace: slu_pod.tenant */
uint32_t pod_tenant(const char *namespace);

/* ---- a program ---- */

enum verdict { VERDICT_ALLOW, VERDICT_DENY, VERDICT_REJECT };

struct decision {
	uint8_t verdict;
	uint32_t identity;     /* index into compiled.identities; 0 = as the node */
	uint32_t verdict_rule; /* index into program.rules, UINT32_MAX = nothing matched → Allow */
	uint32_t identity_rule; /* same, for the via */
};

/*
 * Of the rules of one layer that match: by step the first that has an action, and the
 * first that has a via; indexes into program.rules, CELL_NONE where there is none. Two
 * layers' cells are merged by the lower of each pair (bpf/abi.h says the same).
 */
#define CELL_STEPS 5
#define CELL_NONE  0xffffu
struct cell {
	uint16_t verdict[CELL_STEPS];
	uint16_t identity;
};

struct class_range {
	uint32_t lo; /* L4 key; holds up to the next range's lo, the last up to L4_MAX */
	struct cell cell;
};

struct class
{
	struct class_range *ranges; /* n >= 1, ranges[0].lo == 0, neighbours differ */
	size_t n;
};

struct program_entry {
	struct cidr prefix;
	uint32_t class;
	uint32_t parent; /* next shorter entry of the family that holds it; a root is its own */
};

struct program {
	uint64_t key;			/* of the binding */
	const struct flat_rule **rules; /* in evaluation order, borrowed from compiled */
	size_t n_rules;
	struct class *classes; /* unique */
	size_t n_classes;
	/*
	 * IPv4 first, then IPv6, each sorted by cidr_cmp and headed by 0.0.0.0/0 and
	 * ::/0. No entry has its parent's class.
	 */
	struct program_entry *entries;
	size_t n_entries;
	size_t first_v6; /* index of ::/0 */
	/* The other layers: classes of the rules that have a set or a name. At most
	 * PROGRAM_MAX_SETS sets; those beyond, the smallest, are among the entries. Names have no
	 * bound of their own. */
	struct program_layer {
		uint32_t index; /* into compiled_sets or compiled_names */
		uint32_t class;
	} * sets, *names;
	size_t n_sets, n_names;
};
#define PROGRAM_MAX_SETS  8
#define PROGRAM_MAX_RULES 0xfffeu /* -E2BIG beyond */
/* -E2BIG, too: where prefixes overlap and have ports of their own, each combination is a class. */
#define PROGRAM_MAX_RANGES 262144u    /* of all classes: what the kernel has room for */
#define PROGRAM_MAX_WORK   (1u << 25) /* ends of port ranges: seconds */

/* 0 with the caller's *ret, or -E2BIG (see the limits above). */
int policy_flatten(const struct compiled *c, const struct binding *b, struct program **ret);
/* After that -E2BIG: e says which limit, what exceeds it, and what to do. Returns -E2BIG. */
int policy_too_large(const struct compiled *c, const struct binding *b, struct err *e);
void program_free(struct program *p);

/* The destinations as intervals, what the kernel's tree is built of: ascending by first, IPv4 in
 * its place as ::ffff:0:0/96, neighbours differ in class. *ret malloc'd, *ret_n >= 1. */
struct program_interval {
	struct addr first;
	uint32_t class;
};
void program_intervals(const struct program *p, struct program_interval **ret, size_t *ret_n);

/* A destination, and the compiled_names it is known under. */
struct program_dst {
	struct addr addr;
	const uint32_t *names;
	size_t n_names;
};

/* What the kernel will do with one packet, from the compiled form alone. */
struct decision program_decide(const struct program *p, const struct compiled *c,
			       const struct program_dst *dst, uint32_t l4_key);
struct decision cell_decide(const struct program *p, const struct cell *cell);
/* The answers for dst by L4 key: neighbours differ in verdict or identity, and the decision names
 * the rules of the range's first key. *ret malloc'd, *ret_n >= 1. */
struct program_range {
	uint32_t lo; /* holds up to the next one's, the last up to L4_MAX */
	struct decision decision;
};
void program_ranges(const struct program *p, const struct compiled *c,
		    const struct program_dst *dst, struct program_range **ret, size_t *ret_n);
