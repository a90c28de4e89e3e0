/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The typed form of every object Sluice reads, and the only place that turns
 * trees (from YAML, JSON or the API) into it. Parsing is validating: what comes
 * out is within bounds, in canonical form and safe to compile. An unknown field,
 * a wrong type, a bad or host-bit CIDR, an empty list, a union with none or two
 * members is refused with "file:line: path: what was expected".
 * PURE: trees in, structs out, but for one thing: the time zone of a schedule is read from the
 * tz database. All strings are owned by the doc_set.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "inet/addr.h"
#include "inet/cidr.h"

struct json; /* json/json.h */
struct tz;   /* base/tz.h */

struct label {
	char *key, *value;
};

struct labels {
	struct label *items; /* sorted by key, unique */
	size_t n;
};

enum selector_op { SEL_IN, SEL_NOT_IN, SEL_EXISTS, SEL_DOES_NOT_EXIST };

struct selector_req {
	char *key;
	enum selector_op op;
	char **values; /* sorted, unique */
	size_t n_values;
};

/* A Kubernetes label selector; matchLabels become In with one value. No requirement matches all. */
struct selector {
	bool present; /* false = the field was absent: the field's documentation says what that
			 means */
	struct selector_req *reqs;
	size_t n;
};

/* A text that objects were read from: a file, or a piece of one that may come to lie elsewhere. */
struct doc_file {
	char *name;
	int before; /* lines of the file that come before it */
};

struct doc_src {
	const struct doc_file *in; /* owned by the doc_set */
	int line;		   /* of that text, 1-based; 0 = unknown */
};

const char *doc_src_file(const struct doc_src *src); /* NULL = unknown */
int doc_src_line(const struct doc_src *src);	     /* of the file; 0 = unknown */

enum doc_kind {
	DOC_EGRESS_GATEWAY,
	DOC_CLUSTER_EGRESS_POLICY,
	DOC_EGRESS_POLICY,
	DOC_SLUICE_CONFIG,
	DOC_NODE,
	DOC_NAMESPACE,
	DOC_POD,
	DOC_EGRESS_DESTINATION,
	DOC_CLUSTER_EGRESS_DESTINATION,
	DOC_SERVICE,
	DOC_ENDPOINT_SLICE,
};

struct doc_meta {
	enum doc_kind kind;
	char *namespace; /* "" for cluster scope */
	char *name;
	struct labels labels;
	struct doc_src src;
};

/* ---- EgressGateway ---- */

enum gateway_spread { SPREAD_POLICY, SPREAD_POD, SPREAD_CONNECTION };
enum gateway_announce { ANNOUNCE_ARP, ANNOUNCE_NONE };

struct gateway_range {
	struct addr_range range; /* at most DOC_MAX_GATEWAY_ADDRS addresses over all ranges */
	struct selector node_selector;
	struct selector preferred_nodes; /* of these, as long as one of them can */
	struct doc_src src;
};

/* How soon a node that is not heard counts as away, and when one that is back takes over again. */
struct doc_failover {
	uint32_t interval_ms, hold_down_ms;
	uint8_t missed;
	bool replicate; /* connections are kept by whoever is next */
};
#define DOC_FAILOVER \
	((struct doc_failover){.interval_ms = 100, .missed = 3, .hold_down_ms = 10 * 1000})

/* What one pod may hold of an address at a time; 0 = as much as there is. */
struct doc_limits {
	uint32_t connections, ports;
};

struct doc_gateway {
	struct doc_meta meta;
	struct gateway_range *ranges;
	size_t n_ranges;
	char *address_from;		    /* interface name; then n_ranges is 0 */
	struct selector node_selector;	    /* absent = every node */
	uint32_t node_capacity;		    /* addresses on one node at most; 0 = no bound */
	struct selector allowed_namespaces; /* absent = ClusterEgressPolicy only; {} = all */
	char *interface;		    /* NULL = of the address's subnet */
	struct addr next_hop;		    /* of its family; zero = the route's */
	enum gateway_spread spread;
	enum gateway_announce announce;
	uint16_t tunnel_mtu; /* 0 = from the path */
	struct doc_failover failover;
	struct doc_limits limits;
};

/* ---- policies ---- */

enum rule_action { ACTION_NONE, ACTION_ALLOW, ACTION_DENY, ACTION_REJECT, ACTION_PASS };
enum via_kind { VIA_NONE, VIA_GATEWAY, VIA_NODE };

struct doc_via {
	enum via_kind kind : 8;
	bool or_node : 1; /* unavailable: Node */
	uint32_t n_addrs;
	char *gateway;
	struct addr *addrs; /* subset of the gateway's, sorted, unique; n_addrs may be 0 = all */
	struct doc_src src;
};

enum to_kind { TO_CIDR, TO_NODES, TO_FQDN, TO_DESTINATION, TO_DESTINATION_SELECTOR };

/* There may be 1,000 of them in each of 10,000 policies: what is here counts. */
struct doc_to {
	struct cidr cidr;
	bool cluster_scope; /* destinations: ClusterEgressDestination (kind; the only one for a
			       cluster policy), else EgressDestination of the policy's namespace */
	enum to_kind kind;
	struct cidr *except; /* sorted, each inside cidr and smaller */
	size_t n_except;
	union { /* by kind */
		struct selector nodes;
		char *fqdn;	   /* lower case, without the last dot: "api.example.com",
				      "*.example.com" */
		char *destination; /* its name */
		struct selector destinations; /* TO_DESTINATION_SELECTOR: by label */
	};
};

/*
 * What `ports` says, as ranges over one 24-bit number: protocol << 16 | port, and
 * for ICMP and ICMPv6 protocol << 16 | type << 8 | code. A protocol without
 * ports covers its whole 65536. Inclusive.
 */
struct l4_range {
	uint32_t lo, hi;
};
#define L4_KEY(proto, port) ((uint32_t)(proto) << 16 | (uint32_t)(port))
#define L4_MAX		    0xffffffu

/* On days (bit 0: Sunday), from <= t < to in minutes of the day; to may be 1440. from > to: over
 * midnight, the days are those it begins on. */
struct doc_window {
	uint8_t days;
	uint16_t from, to;
};

struct doc_schedule {
	char *time_zone;	    /* of the tz database; "UTC" when absent */
	const struct tz *zone;	    /* what it says, owned by the doc_set; NULL is UTC */
	struct doc_window *windows; /* n 0: at any time of the day */
	size_t n_windows;
	int64_t start_at, end_at; /* seconds since 1970; INT64_MIN, INT64_MAX when absent */
};

struct doc_rule {
	char *name; /* NULL when absent */
	enum rule_action action;
	bool log;
	struct doc_schedule *schedule; /* NULL: it always holds */
	struct doc_to *to;	       /* n_to 0 = every destination outside */
	size_t n_to;
	struct l4_range *ports; /* sorted, disjoint; n_ports 0 = everything */
	size_t n_ports;
	struct doc_via via;
	struct doc_src src;
};

enum policy_tier { TIER_ADMIN, TIER_BASELINE };

struct doc_policy {
	struct doc_meta meta; /* kind tells cluster from namespace */
	enum policy_tier tier;
	uint16_t priority; /* 0..1000, default 500 */
	bool reset;	   /* existingConnections: an edit of identity ends open connections */
	bool audit;	   /* mode: Audit */
	char **services;   /* subject.services, of the policy's namespace (EgressPolicy only): then
			      the selectors below are absent. Sorted, unique */
	size_t n_services;
	struct selector pods;	    /* subject.podSelector */
	struct selector namespaces; /* cluster only; absent = every namespace */
	struct selector nodes;	    /* cluster only; absent = every node */
	struct doc_rule *rules;
	size_t n_rules;
	bool has_default;
	enum rule_action default_action; /* ACTION_NONE when not set */
	struct doc_via default_via;
	struct doc_src default_src;
};

/* ---- what the cluster is ---- */

struct doc_config {
	struct doc_meta meta; /* SluiceConfig "default" */
	struct cidr *cluster_cidrs;
	size_t n_cluster_cidrs;
	struct cidr *node_cidrs; /* what nodes' addresses are in; n 0: not said */
	size_t n_node_cidrs;
	struct addr *resolvers;
	size_t n_resolvers;
	uint32_t min_ttl, grace; /* dns, seconds; defaults DOC_MIN_TTL, DOC_GRACE */
	bool audit;
	uint32_t mark_mask;   /* 0 = default */
	uint16_t tunnel_port; /* 0 = default */
};

struct doc_node_addr {
	struct addr addr;
	bool internal; /* InternalIP; else ExternalIP */
};

struct doc_node {
	struct doc_meta meta;
	struct doc_node_addr *addrs; /* from status.addresses, Hostname entries left out */
	size_t n_addrs;
	struct cidr *pod_cidrs; /* spec.podCIDRs */
	size_t n_pod_cidrs;
	bool leaving;	/* cordoned, or about to be taken away by a taint: it is to carry nothing */
	bool not_ready; /* its condition Ready says False or Unknown; without one it is ready */
};

struct doc_namespace {
	struct doc_meta meta; /* the implied label kubernetes.io/metadata.name is added */
};

struct doc_pod {
	struct doc_meta meta;
	char *node_name; /* spec.nodeName, may be NULL */
	bool host_network;
	enum { POD_NO_UID, POD_UUID, POD_UID_TEXT } uid_kind : 8; /* which of these it has */
	union {
		uint8_t uuid[16];
		char *uid_text;
	};
};
/* NULL: it says none. Its own, or one of 4 static buffers. */
const char *doc_pod_uid(const struct doc_pod *pod);

/* EgressDestination, ClusterEgressDestination: a set of destinations by name */
struct doc_destination {
	struct doc_meta meta;
	struct cidr *cidrs; /* sorted, none within another */
	size_t n_cidrs;
	uint64_t digest; /* of the cidrs, which nobody can make others have (base/digest.h) */
	char **fqdns;	 /* as doc_to.fqdn; sorted, unique */
	size_t n_fqdns;
	struct l4_range *ports; /* n 0 = everything; intersects with the rule's */
	size_t n_ports;
};

struct doc_service_port {
	char *name;	   /* "" when absent */
	uint32_t key;	   /* L4_KEY */
	uint32_t node_key; /* the same at every node's addresses; 0 = no nodePort */
};

/* A core v1 Service: whom a policy's subject means by it, and where it is reached. */
struct doc_service {
	struct doc_meta meta;
	struct selector selector; /* absent: selects nothing */
	struct addr *addrs;	  /* clusterIPs; none when headless */
	size_t n_addrs;
	struct doc_service_port *ports;
	size_t n_ports;
};

/* A discovery v1 EndpointSlice: some of what stands behind a Service of its namespace. */
struct doc_slice {
	struct doc_meta meta;
	char *service; /* by its label; NULL: of none */
	struct addr *addrs;
	size_t n_addrs;
	struct doc_service_port *ports;
	size_t n_ports;
};

/* All objects of one kind, sorted by (namespace, name), unique: order of arrival never shows. */
struct doc_set {
	struct doc_gateway *gateways;
	size_t n_gateways;
	struct doc_policy *
		*policies; /* apart like the pods: an edit leaves the others where they are */
	size_t n_policies;
	struct doc_config *configs;
	size_t n_configs;
	struct doc_node *nodes;
	size_t n_nodes;
	struct doc_namespace *namespaces;
	size_t n_namespaces;
	struct doc_pod **pods; /* very many where an API tells them: each apart */
	size_t n_pods;
	struct doc_destination *destinations; /* cluster scope first */
	size_t n_destinations;
	struct doc_service *services;
	size_t n_services;
	struct doc_slice *slices;
	size_t n_slices;
	struct doc_file **files; /* that doc_src.in points to */
	size_t n_files;
	struct doc_zone **zones; /* that schedules name, each read once */
	size_t n_zones;
	struct doc_set **parts;	  /* doc_set_add_part: whose objects these are */
	size_t n_parts, n_shared; /* n_shared: who else frees it */
	struct doc_item **items;  /* doc_set_add_item: the same */
	size_t n_items;
	struct doc_mistakes *mistakes; /* NULL: reading ends at the first one */
};

#define DOC_MAX_MISTAKES 100

struct doc_mistakes {
	char *items[DOC_MAX_MISTAKES];
	size_t n;
};

struct doc_zone {
	char *name;
	struct tz *zone;
	size_t n_shared; /* as in doc_set */
};

#define DOC_MIN_TTL 30
#define DOC_GRACE   60

#define DOC_MAX_GATEWAY_ADDRS 1000
#define DOC_MAX_CIDRS	      1048576 /* of one destination */
#define DOC_MAX_FQDNS	      1024
#define DOC_MAX_WINDOWS	      32
#define DOC_MAX_RULES	      256
#define DOC_MAX_TO	      1024
#define DOC_MAX_PORTS	      64
#define DOC_MAX_NAME	      253

struct doc_set *doc_set_new(void);
void doc_set_free(struct doc_set *set);

/*
 * Parses and validates one object tree, or a List of them, and adds it. tree is
 * borrowed; its nodes know their lines. file names it in messages. -EINVAL with
 * err; the set then holds what came before. Kinds of a core API group that Sluice
 * does not read (in a List) are refused like unknown ones. Fields and values of
 * the API that later versions bring are refused too: "not supported by this version".
 */
int doc_set_add(struct doc_set *set, const struct json *tree, const char *file, struct err *e);

/*
 * Adds the objects of part, or of part's own parts, without a copy: they belong to both sets and
 * are freed with the last one, so a document that was read once can be in the next set, too. A
 * set with parts has no other objects, and its arrays are empty until it is finished.
 */
void doc_set_add_part(struct doc_set *set, struct doc_set *part);
/*
 * The text that part was read from now begins behind so many lines of its file. This changes what
 * doc_src_line says in all sets that share part.
 */
void doc_set_move(struct doc_set *part, int before);
/* Lets set use the time zones that other has read from the disk. */
void doc_set_share_zones(struct doc_set *set, const struct doc_set *other);
struct doc_set *
doc_set_ref(struct doc_set *set); /* takes a reference, which doc_set_free drops; returns set */

/*
 * What only shows over the whole set: an object given twice (-EEXIST, err names
 * both places), gateways that claim one address twice, a via that names addresses
 * its gateway does not have. Sorts the set. Call once after the last add. 0 or
 * -EINVAL. A gateway that a via names and that is not there is no error.
 */
int doc_set_finish(struct doc_set *set, struct err *e);

/*
 * The same, for a set that shares most of its parts with before, which is finished and all of whose
 * objects are its parts'. NULL: no such set.
 */
int doc_set_finish_after(struct doc_set *set, const struct doc_set *before, struct err *e);

/*
 * One object by itself, never changed, in as little memory as it needs: objects of an API come one
 * by one and may be very many.
 */
struct doc_item;
/* Takes over a finished set of one object, or of none. */
struct doc_item *doc_item_new(struct doc_set *take);
void doc_item_free(struct doc_item *item); /* drops a reference: sets have them, too */
const struct doc_meta *doc_item_meta(const struct doc_item *item); /* NULL: of none */
/* The object, borrowed; NULL when it is of another kind, or item is NULL. */
const struct doc_pod *doc_item_pod(const struct doc_item *item);
const struct doc_policy *doc_item_policy(const struct doc_item *item);
const struct doc_gateway *doc_item_gateway(const struct doc_item *item);
const struct doc_config *doc_item_config(const struct doc_item *item);
const struct doc_node *doc_item_node(const struct doc_item *item);
const struct doc_slice *doc_item_slice(const struct doc_item *item);

/*
 * Adds a reference to such an object, to a set of nothing else. The set counts as finished at any
 * time: the caller adds the objects of one array in the order of namespace and name, none twice,
 * and has seen to it that no two gateways claim one address. A via may name addresses that its
 * gateway does not have; the gateway's own among them are what it gives.
 */
void doc_set_add_item(struct doc_set *set, struct doc_item *item);

/*
 * Reads a file (JSON by .json, else YAML; several documents; kind List)
 * from text. Bounded: DOC_MAX_FILE bytes. 0 or -EINVAL with "file:line: path: …".
 */
#define DOC_MAX_FILE (64u << 20) /* a million prefixes, v6 ones in indented JSON too */
int doc_set_add_text(struct doc_set *set, const char *file, const char *text, size_t len,
		     struct err *e);

/*
 * All mistakes of such a text, in its order, as doc_set_add_text() names the first one. A text that
 * cannot be read any further ends it; so do DOC_MAX_MISTAKES.
 */
void doc_text_mistakes(const char *file, const char *text, size_t len, struct doc_mistakes *ret);
void doc_mistakes_done(struct doc_mistakes *m);

/*
 * The documents of a YAML file, each of which can be read without the others: behind one another,
 * they are the text. One piece when that cannot be told at a glance, and of JSON. *ret malloc'd;
 * the count, >= 1.
 */
struct doc_piece {
	const char *text; /* within the file's */
	size_t len;
	int before; /* lines */
};
size_t doc_text_pieces(const char *file, const char *text, size_t len, struct doc_piece **ret);

bool doc_slice_is_api(const struct doc_slice *s); /* of default/kubernetes: the API servers */

/* "2026-12-24T18:00:00+01:00" (RFC 3339 in whole seconds) as seconds since 1970. */
bool doc_moment(const char *s, int64_t *ret);

/* Labels as Kubernetes validates them: key with optional DNS prefix, value up to 63. 0 or -EINVAL.
 */
int label_key_check(const char *key);
int label_value_check(const char *value);

/* Value of key or NULL. labels must be sorted. */
const char *labels_get(const struct labels *labels, const char *key);
/* Adds or replaces, in its place of the order. */
void labels_set(struct labels *labels, const char *key, const char *value);
void labels_done(struct labels *labels);
/* An absent selector matches nothing here: ask selector.present first where absent means all. */
bool selector_matches(const struct selector *selector, const struct labels *labels);
