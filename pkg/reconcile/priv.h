/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of reconcile/ share of one struct reconcile. */
#include "dataplane/apply.h"
#include "policy/image.h"
#include "policy/hash_index.h"
#include "reconcile/claims.h"
#include "reconcile/desired.h"
#include "reconcile/limits.h"
#include "reconcile/membership.h"
#include "reconcile/names.h"
#include "reconcile/policies.h"
#include "reconcile/reconcile.h"
#include "reconcile/remains.h"
#include "reconcile/rivals.h"
#include "reconcile/shares.h"
#include "reconcile/tenure.h"
#include "reconcile/usage.h"
#include "state/journal.h"
#include "state/numbers.h"

/* A program that pods need, or did lately. */
struct prog {
	uint64_t key;
	uint32_t id;
	bool in_kernel;	      /* as ids and tables have it */
	int64_t wanted_until; /* ms: a resolve promised it to a pod whose record is not there yet */
	bool wanted;	      /* by a record, in this pass */
	bool enforced;	      /* not only as what an audit would decide */
	bool failed;	      /* an audit's, and cannot be made */
	bool too_large;	      /* and what was in force before stays */
	bool names;	      /* some of its rules are about names */
	uint32_t proposed;    /* the id that all its pods have now */
	struct program *program; /* only between flatten and commit */
	uint32_t *counters;	 /* the same: of its rules */
	struct binding binding;
	uint64_t identities; /* binding_identities, 0 = not known */
};

/* A record, and what it comes to. */
struct pod {
	struct record *rec;
	bool dead;     /* its boot, namespace or interface is gone */
	bool resolved; /* by the policies as they are compiled now */
	bool undecided;
	uint64_t key;	    /* 0: no policy selects it */
	uint64_t audit_key; /* the same with the policies in mode Audit, 0: none of them does */
	uint32_t flags, spread;
	struct dp_attachment a; /* policy and audit are filled in once ids are given out */
};

/* What fits through the ways of tunnels (path.c), and what that was asked for. */
struct path {
	uint32_t mtu;	  /* 0 = none is known */
	int64_t asked_at; /* ms; 0: ask again */
	uint64_t compiled, node;
};

/* What of a pass's plan is in the kernel. */
struct carried {
	bool begun;
	bool programs; /* all of them */
	bool all;
	bool pods; /* and no pod is left for the next pass */
};

/* Put on their interface, but packets to them are not taken in yet, so nobody is told. */
struct arrivals {
	struct addr *list;
	size_t n;
	int64_t since; /* ms */
	bool whole;    /* the last pass did all */
};

/* holdings.c */
struct holdings {
	struct node_holding *list; /* sorted; NULL: not asked for, or not known */
	size_t n;
	uint64_t digest;		 /* of list, 0: there is none */
	uint64_t of_compiled, of_status; /* serials of what it was looked at with */
	bool asked;			 /* a gateway is not ready */
};

/* A program that is too large, or has no room, by the first of its policies. */
struct refusal {
	bool cluster; /* a ClusterEgressPolicy */
	char *namespace, *name;
	struct err why;
};

struct reconcile {
	const struct daemon_conf *conf;
	char *node_name; /* as objects have it, see compile.c; NULL before the first compile */
	struct journal *journal;
	struct ids *ids;
	struct dp_kernel k;
	unsigned int pins_opened; /* counts: who holds one of k.pins' maps must open it again */
	struct dp_tables *tables; /* NULL: to be read from the kernel */
	struct policies policies;
	struct doc_set *held_set; /* what compiled was made of, when policies has a newer one */
	struct compiled *compiled;
	uint64_t compiled_serial;			/* counts up with each */
	uint64_t compiled_fingerprint, compiled_inputs; /* of the folder, of node and CIDRs */
	bool cidrs_derived;
	int64_t compiled_at, edge; /* seconds since 1970; when a schedule begins or ends to hold */
	struct node_state *node;
	struct pod *pods;
	size_t n_pods;
	int64_t records_mtime, records_read_at;
	struct prog *progs;
	size_t n_progs;
	struct hash_index prog_index; /* by key */
	struct names *names;	      /* NULL: to be read from the kernel */
	uint32_t *name_ids;	      /* by compiled_names, 0: no room; NULL: not given out yet */
	bool names_short;	      /* there is none for some */
	struct numbers *counters;
	bool counters_short; /* there was none for some rule */
	struct claims claims;
	bool drained;		       /* drain.h */
	struct membership *membership; /* NULL: without heartbeats */
	struct way *ways;	       /* ways.c */
	struct path path;
	struct tenures tenures;
	struct rivals rivals;
	struct remains remains;
	struct arrivals arrivals;
	struct holdings holdings;
	struct usage usage;
	struct shares shares;
	struct handover *handover; /* NULL: addresses move without their connections */
	struct keep *keep;
	struct limits_look *limits; /* limits_look.c */
	struct carried carried;	    /* by this pass */
	struct desired *desired;
	uint64_t addr_digest;	/* address → id of the last pass */
	struct dp_model *known; /* maps as we left them; NULL: read them */
	int64_t known_at;
	uint64_t published; /* a digest of the snapshot; 0: not known yet */
	uint64_t generation;
	uint64_t published_of; /* what it was made of, 0 = not known */
	bool unpublished;
	int64_t adopt_at; /* when to look again for pods without a record (ms) */
	/* what people are told */
	struct {
		uint64_t ok, failed, changes;
		int64_t us, last_us; /* that they took */
	} passes;		     /* since the start */
	size_t changes;
	struct err err;		  /* of the last pass */
	struct refusal *refusals; /* of the last plan: their pods keep what they had */
	size_t n_refusals;
	char forward_drop[64];
	bool forward_looked, forward_said; /* forward.c */
	int64_t last_ok_at;
	bool others_forgotten; /* pins of other versions */
};

/* compile.c */
int origin_open(struct reconcile *r, struct err *e); /* a folder, or the objects of an API */
int compile_refresh(struct reconcile *r, struct err *e);
struct image subjects_image(const struct reconcile *r);

/* holdings.c: reads them anew if need be; another number: they are others now */
uint64_t holdings_look(struct reconcile *r);
void holdings_done(struct holdings *h);

/* pods.c */
int pods_read(struct reconcile *r,
	      struct err *e); /* before the node is looked at: a veth is there before its record */
void pods_look(struct reconcile *r); /* which of them are dead, after it */
void pods_forget(struct reconcile *r);
void pods_resolve(struct reconcile *r);
void pods_mark_governed(struct reconcile *r); /* whose packets must carry a mark, for nft */
void pods_collect(struct reconcile *r);	      /* records whose pod is gone */
void pods_gate(struct reconcile *r, struct dp_gate *ret);
/* True: there was no time for all, another pass is due. */
bool pods_gate_done(struct dp_gate *gate);

/* adopt.c: pods without a record. True: some have one now, another pass is due. */
bool pods_adopt(struct reconcile *r);

/* path.c: the smallest towards a tunnel's end; 0 = none is known */
uint32_t path_mtu(struct reconcile *r);

/* forward.c: does somebody drop what is forwarded; where we may, our word in DOCKER-USER */
void forward_look(struct reconcile *r);

/* programs.c */
struct prog *prog_get(struct reconcile *r, uint64_t key);
void prog_done(struct prog *p);
/* Ids for all that are wanted, and the plan that brings them into the kernel. */
int progs_plan(struct reconcile *r, const struct dp_model *observed, struct programs_plan **ret,
	       struct err *e);
void progs_assign(struct reconcile *r, const struct dp_model *observed);
void progs_commit(struct reconcile *r, struct programs_plan *plan);
void progs_flush(struct reconcile *r); /* what is in the kernel must be verified */
/* Ids of the names that policies have, known to the kernel before any policy has them. */
int progs_names(struct reconcile *r, struct err *e);
void progs_names_warn(struct reconcile *r);
/* Places that were let go, names that no policy has any more. */
int progs_settle(struct reconcile *r, struct err *e);
/* One program, at once, beside all others. */
int prog_now(struct reconcile *r, struct prog *p, struct err *e);
/* Seconds without a pod after which a program leaves the snapshot, and then the kernel. */
#define PROG_HIDE_AFTER	  60
#define PROG_RETIRE_AFTER 75

/* ways.c: by compiled address, valid until the next call; an interface whose answers the kernel
 * drops */
const struct way *ways_get(struct reconcile *r, const struct place *places);
bool ways_strict(const struct reconcile *r, char *ret_name, size_t size);

/* status.c */
void pass_note(struct reconcile *r, int rc, int64_t us); /* it is over, and took so long */
#define ADDRESS_STATES 6
extern const char *const address_states[ADDRESS_STATES]; /* "Local", … */
const char *address_state(const struct reconcile *r, const struct egress_addr *a);
/* [{"type", "status": "True"|"False", "reason", "message"}] */
struct json *node_conditions(const struct reconcile *r, bool *ret_ready);
bool condition_counts(const char *type); /* without it a node is not ready */
/* Of those alive; quarantined are not governed. */
struct pods_count {
	size_t all, governed, quarantined;
};
void pods_count(const struct reconcile *r, struct pods_count *ret);

/* status_gateways.c: who has what since when, and how much room is left */
void gateways_note(struct reconcile *r); /* after a pass that did all */
void gateways_forget(struct reconcile *r);
struct json *gateways_status(const struct reconcile *r);
void address_tenure_emit(const struct reconcile *r, const struct egress_addr *a, struct json *to);

/* arrivals.c: announces what is new on its interface; claims are settled, if the pass did all. When
 * to look again (ms), 0 = need not. */
void arrivals_note(struct reconcile *r, const struct dp_plan *p, bool whole);
int64_t arrivals_run(struct reconcile *r);

/* remains_apply.c: after a pass that did all; what is due, and when more is (ms, 0 = nothing is) */
void remains_note(struct reconcile *r);
int64_t remains_run(struct reconcile *r, int64_t now);

/* refusals.c */
void refusals_add(struct reconcile *r, const struct prog *p, const struct err *e);
void refusals_done(struct reconcile *r);
int refusals_say(const struct reconcile *r, struct err *e); /* 0, or the first one's code */

/* counters.c */
int counters_open(struct reconcile *r, struct err *e);
uint32_t *counters_get(struct reconcile *r, const struct program *p); /* by rule, malloc'd */
void counters_sweep(struct reconcile *r);
int counters_store(struct reconcile *r, struct err *e);

/* keep_apply.c: existingConnections. Before and after what changes who pods are. */
void keep_before(struct reconcile *r, struct dp_model *observed,
		 const struct programs_plan *programs);
void keep_after(struct reconcile *r);
void keep_done(struct reconcile *r); /* all pods are what the pass wanted them to be */
void keep_free(struct keep *k);

/* publish.c: the snapshot for plugins that find no daemon */
int publish(struct reconcile *r, struct err *e);

/* ---- status.c: new pods go through the chain, and what is known is in force ---- */
bool reconcile_takes_pods(const struct reconcile *r);
