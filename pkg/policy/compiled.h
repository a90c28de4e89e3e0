/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What policy_compile makes, as its own parts see it. Others use compile.h.
 */
#include "base/cleanup.h"
#include "policy/compile.h"

/* One policy with an effect on this node, in evaluation order. */
struct compiled_policy {
	const struct doc_policy *doc;
	uint32_t place; /* of doc in the doc_set */
	uint8_t step;	/* of its rules: any but STEP_DEFAULTS */
	struct flat_rule *rules;
	size_t n_rules; /* with the default block, which is last and has step STEP_DEFAULTS */
	uint64_t digest;
	void **owned; /* lists that its rules point to, and that are not the doc_set's */
	size_t n_owned;
	uint32_t *identities; /* that its rules have, each once, but for 0 and none */
	size_t n_identities;
	size_t n_unnamed; /* names that its rules have and do not match: there are too many */
	bool scheduled;	  /* its rules are others at another time */
	bool kept;	  /* as the compile before had it, with the digest */
};

struct compiled {
	const struct doc_set *set;
	int64_t now;
	struct compiled_policy *policies;
	size_t n_policies;
	/* Made from the compile before by an edit of a few: which of policies. NULL: it was not. */
	uint32_t *edited;
	size_t n_edited;
	bool scheduled;	      /* one of policies is */
	uint64_t view_digest; /* of the node_view, but for now */
	struct compiled_set *sets;
	size_t n_sets;
	char **names;
	uint32_t *name_uses; /* by name: how many rules have it */
	size_t n_names;
	size_t n_unnamed; /* of all policies */
	int64_t next_edge;
	struct egress_addr *addrs;
	size_t n_addrs;
	struct identity *identities;
	uint32_t *users; /* by identity, but for 0: the first of policies that has it */
	size_t n_identities;
	struct cidr *inside, *cluster_cidrs, *shared, *external;
	size_t n_inside, n_cluster_cidrs, n_shared, n_external;
	struct cidr *cluster_outermost; /* of cluster_cidrs, for look-ups */
	size_t n_cluster_outermost;
	struct compiled_service *services;
	size_t n_services;
	struct compiled_node *nodes;
	const struct doc_node *
		*node_docs; /* parallel to nodes; NULL for this node without an object */
	size_t n_nodes;
	size_t self;	 /* this node in nodes */
	char *self_name; /* owned: a node without an object has its name from the node_view */
	uint16_t tunnel_mtu;
	uint64_t digest;
	uint8_t *subjects; /* an image without programs: what policy_resolve reads */
	size_t subjects_len;
};

#define LABEL_NAMESPACE_NAME "kubernetes.io/metadata.name"

/* An absent selector is every node. */
bool compiled_node_selected(const struct compiled *c, size_t node, const struct selector *s);
/* namespace/name as one number: what every stable pick starts from. */
uint64_t name_hash(const char *namespace, const char *name);
size_t cidrs_sort_unique(struct cidr *v, size_t n); /* returns the new n */
/* Within one step: priority, then namespace/name. */
int doc_policy_order(const struct doc_policy *a, const struct doc_policy *b);
/* A namespace without an object has the implied label only. */
bool namespace_selected(const struct doc_set *set, const char *name, const struct selector *s);

/* Whether a gateway may be used by the policy's namespace. */
bool gateway_permits(const struct doc_set *set, const struct doc_gateway *gw,
		     const struct doc_policy *policy);

/* ---- cluster.c: nodes and what is inside ---- */
bool is_cluster_addr(const struct compiled *c, struct addr a);
int cluster_compile(struct compiled *c, const struct node_view *node, struct err *e);

/* ---- services.c ---- */
void services_compile(struct compiled *c);
void services_done(struct compiled *c);
uint64_t services_digest(const struct compiled *c, uint64_t seed);

/* ---- gateways.c: every gateway's addresses and their owners ---- */

/* One address; strings are borrowed from the documents and the node_view. */
struct gateway_addr {
	struct addr addr, endpoint;
	const struct doc_gateway *gateway;
	const char *owner;     /* NULL: no candidate */
	const char *home;      /* who owns it when all live; NULL: no candidate, addressFrom */
	const char *next;      /* see egress_addr */
	const char *interface; /* local only */
	uint32_t vni;
	uint8_t problem;
	bool local, assign;
};

struct gateway_slot {
	const struct doc_gateway *doc;
	size_t first, n; /* in gateways.addrs */
};

struct gateways {
	struct gateway_slot *slots; /* by name, as in the doc_set */
	size_t n_slots;
	struct gateway_addr *addrs;
	size_t n_addrs;
};

void gateways_init(struct gateways *g, const struct compiled *c, const struct node_view *node);
void gateways_done(struct gateways *g);
const struct gateway_slot *gateways_find(const struct gateways *g, const char *name);
/*
 * Fills c->addrs with what this node owns by rank or used[] marks, and after these with
 * all the others, as spare. Gives ret_index[i] the place of g->addrs[i] there.
 */
void gateways_emit(const struct gateways *g, const bool *used, uint32_t *ret_index,
		   struct compiled *c);

/* ---- identities.c ---- */
struct identities;

struct identities *identities_new(const struct gateways *g, const struct doc_set *set);
void identities_free(struct identities *ids);
DEFINE_CLEANUP(struct identities *, identities_free);
/* The index of what a policy's via stands for; equal ones share it. IDENTITY_NONE without via. */
uint32_t identities_get(struct identities *ids, const struct doc_policy *policy,
			const struct doc_via *via);
size_t identities_count(const struct identities *ids);
bool identities_short(const struct identities *ids); /* there was no room for the picks of some */
/* An empty one for the same gateways. */
struct identities *identities_like(const struct identities *ids);
/* Moves the identities, and the addresses they need, into c. */
void identities_emit(struct identities *ids, struct compiled *c);
/* Of the addresses that the outside would see, whatever the order of compiled.addrs. */
uint64_t identity_digest(const struct compiled *c, uint32_t identity);

/* ---- class.c: a set of matching rules → its ranges; cells ---- */
struct ruleset {
	const struct flat_rule *const *rules;
	size_t n;
	size_t words;		       /* of 64 rules */
	uint64_t *actions;	       /* rules with an action */
	uint64_t *vias;		       /* rules with a via */
	uint32_t step_end[CELL_STEPS]; /* the first rule of a later step */
};

void ruleset_init(struct ruleset *rs, const struct flat_rule *const *rules, size_t n);
void ruleset_done(struct ruleset *rs);
/*
 * matching: the rules whose destination matches, one bit each. The caller frees ret->ranges.
 * Returns how many ends of port ranges it had to look at, for PROGRAM_MAX_WORK.
 */
size_t class_build(const struct ruleset *rs, const uint64_t *matching, struct class *ret);
bool class_equal(const struct class *a, const struct class *b);
uint64_t class_hash(const struct class *c);
const struct cell *class_cell(const struct class *c, uint32_t l4_key);
/* The class of dst by the program's entries alone, without its sets and names. */
uint32_t program_own_class(const struct program *p, struct addr dst);
void cell_merge(struct cell *into, const struct cell *other);

enum rule_action flat_rule_action(const struct flat_rule *r);

/* ---- destinations.c: what a name or a selector of a rule's `to` stands for ---- */
struct destinations;

/* Fills c->sets, whose names are c's; the rest is borrowed from the set. */
struct destinations *destinations_new(struct compiled *c);
void destinations_free(struct destinations *d);
DEFINE_CLEANUP(struct destinations *, destinations_free);
/*
 * Indexes into doc_set.destinations for an item of kind TO_DESTINATION or
 * TO_DESTINATION_SELECTOR: *ret is sorted, unique, and valid until the next call.
 */
size_t destinations_find(struct destinations *d, const struct doc_policy *policy,
			 const struct doc_to *to, const uint32_t **ret);
/* The place in c->sets of a large one, UINT32_MAX of a small one. */
uint32_t destinations_set(const struct destinations *d, uint32_t destination);
/*
 * A number for a pattern that an object of this namespace ("" = the cluster's) has; UINT32_MAX:
 * there are too many. Final places are known when all are; see names_emit.
 */
uint32_t destinations_name(struct destinations *d, const char *namespace, const char *pattern);
/* Sorts the patterns into c->names, and gives c's rules their places there. */
void names_emit(struct destinations *d, struct compiled *c);
/* The places of one policy's names when its numbers are places already. */
void names_sort(struct compiled_policy *p);
size_t destinations_n_names(const struct destinations *d);

/* ---- rules.c: a rule of a document → the flat rules of p, but for their identity ---- */
void rule_compile(struct compiled *c, struct destinations *d, struct compiled_policy *p,
		  const struct doc_rule *rule);

/* ---- compile.c ---- */
int compiled_policy_order(const void *va, const void *vb); /* in evaluation order */
uint8_t policy_step(const struct doc_policy *p);
bool policy_has_effect(const struct compiled *c, const struct doc_policy *p);
/* What a policy comes to, but for the final places of its names. */
void policy_rules_compile(struct compiled *c, struct compiled_policy *p, struct destinations *d,
			  struct identities *ids);
void compiled_policy_done(struct compiled_policy *p);

/* ---- again_same.c ---- */
uint64_t view_digest(const struct node_view *node);
/* Is all that rules are made of besides their policy the same: the node, gateways, nodes, … ? */
bool surroundings_same(const struct compiled *c, const struct compiled *old);
/*
 * Moves old's subjects to c; the policies' digests in them are still old's. False, and nothing is
 * moved: some policy may select other pods than before.
 */
bool subjects_take(struct compiled *c, struct compiled *old);

/* ---- again.c: what a compile takes from the one before ---- */
/*
 * Both move policies that are still as they were from old to c. policies_edit is for an edit of a
 * few policies: it makes c's list of policies itself. policies_compile_again fills a list that is
 * there. False: this was not possible; c is as before the call, and d and ids must be made anew.
 */
bool policies_edit(struct compiled *c, struct compiled *old, struct destinations *d,
		   struct identities **ids);
bool policies_compile_again(struct compiled *c, struct compiled *old, struct destinations *d,
			    struct identities **ids);
void identities_note_users(struct compiled *c);

/* ---- image_build.c ---- */
/* Writes the digests of c's policies into c->subjects, which subjects_take took over. */
void image_subjects_digests(struct compiled *c);

/* ---- digest.c ---- */
uint64_t cidrs_digest(const struct cidr *v, size_t n, uint64_t seed);
void digest_policies(struct compiled *c);
uint64_t digest_all(const struct compiled *c);
